"""Where a user's notifications go as HTTP requests."""

import secrets
from collections.abc import Collection

from msgspec import Struct

from tasktide.domain import webhooks
from tasktide.domain.deliveries import Refused
from tasktide.domain.errors import Conflict, Invalid, NotFound, Unavailable
from tasktide.domain.ids import UserId
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Actor
from tasktide.domain.webhooks import Network, Webhook
from tasktide.ports.clock import Clock
from tasktide.ports.webhooks import Caller, WebhookStore


class WebhookInfo(Struct, frozen=True, kw_only=True):
    """Where notifications go. `secret`, the key that signs them, is told once: by the answer that makes it."""

    url: str
    created_at: Timestamp
    secret: str | None = None


class Trial(Struct, frozen=True, kw_only=True):
    """Whether a receiver took a call that tries it, and else what was wrong."""

    delivered: bool
    detail: str


class Webhooks:
    """A user has one webhook or none; which kinds of notification go there, the preferences say."""

    def __init__(self, *, store: WebhookStore, caller: Caller, clock: Clock, private: Collection[Network] = ()) -> None:
        self._store = store
        self._caller = caller
        self._clock = clock
        self._private = private
        self._trying: set[UserId] = set()

    async def get(self, actor: Actor) -> WebhookInfo:
        """The actor's webhook, without its key."""
        kept = await self._kept(actor)
        return WebhookInfo(url=kept.url, created_at=kept.created_at)

    async def put(self, actor: Actor, url: str) -> WebhookInfo:
        """Make the actor's webhook with a key of its own, or give the one there is another address."""
        errors = webhooks.check_url(url, self._private)
        if errors:
            raise Invalid(errors)
        secret = webhooks.secret_of(secrets.token_bytes(webhooks.SECRET_BYTES))
        kept = await self._store.put(actor.user_id, Webhook(url=url, secret=secret, created_at=self._clock.now()))
        return WebhookInfo(url=kept.url, created_at=kept.created_at, secret=secret if kept.secret == secret else None)

    async def remove(self, actor: Actor) -> None:
        """Forget the actor's webhook and its key; what was on its way there goes nowhere."""
        if not await self._store.remove(actor.user_id):
            raise _none()

    async def try_out(self, actor: Actor) -> Trial:
        """Call the actor's webhook now, once, with a notification that is in no inbox.

        Conflict while the last such call is under way: whom a user names is not to be flooded from here.
        """
        if actor.user_id in self._trying:
            raise Conflict("Your webhook is being tried.", code="trial_running")
        self._trying.add(actor.user_id)
        try:
            return await self._tried(actor)
        finally:
            self._trying.discard(actor.user_id)

    async def _tried(self, actor: Actor) -> Trial:
        kept = await self._kept(actor)
        call = webhooks.trial(actor.user_id, secrets.token_hex(8), kept, self._clock.now())
        try:
            await self._caller.call(call)
        except (Unavailable, Refused) as failed:
            return Trial(delivered=False, detail=str(failed))
        return Trial(delivered=True, detail="The receiver has taken it.")

    async def _kept(self, actor: Actor) -> Webhook:
        kept = (await self._store.get([actor.user_id])).get(actor.user_id)
        if kept is None:
            raise _none()
        return kept


def _none() -> NotFound:
    return NotFound("You have no webhook.")

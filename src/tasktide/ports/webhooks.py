"""Webhooks: where they are kept, and how they are called."""

from collections.abc import Collection
from typing import Protocol

from tasktide.domain.ids import UserId
from tasktide.domain.webhooks import Call, Webhook


class WebhookStore(Protocol):
    """The webhook of each user who has one. Durable when a method returns; Unavailable when the engine is away."""

    async def get(self, user_ids: Collection[UserId]) -> dict[UserId, Webhook]:
        """Those of these users; who has none is absent."""
        ...

    async def put(self, user_id: UserId, webhook: Webhook) -> Webhook:
        """Keep a user's first webhook, or give the one there is another address; the one that is kept now."""
        ...

    async def remove(self, user_id: UserId) -> bool:
        """Forget a user's webhook; whether there was one."""
        ...


class Caller(Protocol):
    """Makes requests to the outside world."""

    async def call(self, call: Call) -> None:
        """Return when the receiver has taken it; Unavailable when to try again, Refused when that is of no use."""
        ...

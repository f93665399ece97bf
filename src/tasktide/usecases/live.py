"""Live streams of one user's notifications: lossy pushes made whole by the inbox."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tasktide.domain import times
from tasktide.domain.errors import Unauthenticated, Unavailable, invalid
from tasktide.domain.ids import NotificationId
from tasktide.domain.users import Actor
from tasktide.ports.clock import Clock
from tasktide.ports.notifications import NotificationStore
from tasktide.ports.push import Message, Push, Subscription
from tasktide.ports.users import SessionStore

PAGE = 200

_encode = msgspec.json.Encoder().encode


class Item(NamedTuple):
    """One notification as JSON, and the cursor behind it."""

    cursor: NotificationId
    body: bytes


class LiveStream:
    """Everything after `cursor`, in order, nothing twice, nothing left out. Read by one task; close it."""

    def __init__(
        self,
        *,
        actor: Actor,
        cursor: NotificationId,
        behind: bool,
        subscription: Subscription,
        store: NotificationStore,
        sessions: SessionStore,
        clock: Clock,
    ) -> None:
        self.cursor = cursor
        self._actor = actor
        self._behind = behind
        self._subscription = subscription
        self._store = store
        self._sessions = sessions
        self._clock = clock
        # One timer a stream; a timeout around each wait for news would cost more than passing the news on.
        left_s = (times.epoch_ms(actor.expires_at) - times.epoch_ms(clock.now())) / 1000
        self._expiry = asyncio.get_running_loop().call_later(max(0.0, left_s), subscription.offer, _expiry(actor))

    async def read(self) -> Sequence[Item]:
        """The next notifications, waiting for the first.

        Unauthenticated when the session is over, Unavailable when the process is about to stop.
        """
        while True:
            items = await self._catch_up() if self._behind else await self._listen()
            if items:
                self.cursor = items[-1].cursor
                return items

    def close(self) -> None:
        """Stop listening; twice is fine."""
        self._expiry.cancel()
        self._subscription.close()

    def _check_expiry(self) -> None:
        if self._actor.expires_at <= self._clock.now():
            raise _expired()

    async def _catch_up(self) -> Sequence[Item]:
        page = await self._store.after(self._actor.user_id, self.cursor, PAGE)
        self._behind = len(page) == PAGE
        return [Item(one.id, _encode(one)) for one in page]

    async def _listen(self) -> Sequence[Item]:
        self._check_expiry()
        messages = await self._subscription.read()
        self._check_expiry()
        if messages is None:
            # Something was lost, perhaps the word that the session ended: ask the stores for both.
            self._behind = True
            if await self._sessions.get(self._actor.session_id, self._clock.now()) is None:
                raise _ended()
            return []
        last = int(self.cursor)
        items = []
        for message in messages:
            if message.cursor > last:  # a repeated batch is announced again
                last = message.cursor
                items.append(Item(NotificationId(last), message.body))
            elif not message.cursor:
                _check_word(message.channel)
        return items


class Live:
    """Opens streams."""

    def __init__(
        self, *, store: NotificationStore, sessions: SessionStore, push: Push, clock: Clock, stopping: str
    ) -> None:
        self._stopping = stopping
        self._store = store
        self._sessions = sessions
        self._push = push
        self._clock = clock

    async def open(self, actor: Actor, after: NotificationId | None) -> LiveStream:
        """A stream of what comes after a cursor, or from now on."""
        subscription = await self._push.subscribe(
            [f"user:{actor.user_id}", f"session:{actor.session_id}", self._stopping]
        )
        try:
            # Subscribed first: what arrives while the cursor is read is in the buffer.
            last = await self._store.last_id(actor.user_id)
            if after is not None and after > last:
                raise invalid("after", f"is ahead of the inbox, which ends at {last}: begin without it")  # noqa: TRY301
            cursor = last if after is None else after
            if await self._sessions.get(actor.session_id, self._clock.now()) is None:
                raise _ended()  # noqa: TRY301 - the same clean-up as for any other failure
        except BaseException:
            subscription.close()
            raise
        return LiveStream(
            actor=actor,
            cursor=cursor,
            behind=after is not None,
            subscription=subscription,
            store=self._store,
            sessions=self._sessions,
            clock=self._clock,
        )


def _check_word(channel: str) -> None:
    """Words without a cursor are about the stream itself."""
    if channel.startswith("session:"):
        raise _ended()
    if channel.startswith("process:"):
        raise Unavailable("gateway", "The server is stopping: connect again and resume.")


def _expiry(actor: Actor) -> Message:
    return Message(f"session:{actor.session_id}", b"")


def _expired() -> Unauthenticated:
    return Unauthenticated("The token has expired.", code="token_expired")


def _ended() -> Unauthenticated:
    return Unauthenticated("The session has ended.", code="session_ended")

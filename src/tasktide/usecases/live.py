"""Live streams: one user's notifications, lossy pushes made whole by the inbox; and what happens to tasks."""

import asyncio
from collections.abc import Sequence

import msgspec

from tasktide.domain import events, times
from tasktide.domain.errors import Unauthenticated, Unavailable, invalid
from tasktide.domain.events import TaskEvent
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.users import Actor
from tasktide.ports.cache import task_key
from tasktide.ports.clock import Clock
from tasktide.ports.notifications import NotificationStore
from tasktide.ports.push import Message, Push, Subscription
from tasktide.ports.stopping import Stopping
from tasktide.ports.users import SessionStore

PAGE = 200
# Where everything that happens to tasks is said.
TASKS = "tasks"
# How often somebody who looks at a task says so, and after how long without a word they are gone.
BEAT_S = 10.0
GONE_S = 25.0

_encode = msgspec.json.Encoder().encode
_decode_word = msgspec.json.Decoder(tuple[UserId, str]).decode


class Listener:
    """One actor's ear for some channels. Read by one task; close it."""

    def __init__(
        self, actor: Actor, subscription: Subscription, sessions: SessionStore, clock: Clock, stopping: Stopping
    ) -> None:
        self.actor = actor
        self._subscription = subscription
        self._sessions = sessions
        self._clock = clock
        self._stopping = stopping
        # One timer a listener; a timeout around each wait for news would cost more than passing the news on.
        left_s = (times.epoch_ms(actor.expires_at) - times.epoch_ms(clock.now())) / 1000
        self._expiry = asyncio.get_running_loop().call_later(max(0.0, left_s), subscription.offer, _expiry(actor))

    async def hear(self) -> Sequence[Message] | None:
        """What was said next; None when something was lost.

        Unauthenticated when the session is over, Unavailable when the process is about to stop.
        """
        self._check_end()
        messages = await self._subscription.read()
        self._check_end()
        if messages is None:
            # Perhaps the word that the session ended: ask the store.
            await self.check_session()
            return None
        for message in messages:
            if not message.cursor and message.channel.startswith("session:"):
                raise _ended()  # words without a cursor are about the stream itself
        return messages

    async def check_session(self) -> None:
        """Unauthenticated when the session has ended."""
        if await self._sessions.get(self.actor.session_id, self._clock.now()) is None:
            raise _ended()

    def close(self) -> None:
        """Stop listening; twice is fine."""
        self._expiry.cancel()
        self._subscription.close()

    def _check_end(self) -> None:
        if self.actor.expires_at <= self._clock.now():
            raise _expired()
        if self._stopping.is_announced:
            raise Unavailable("gateway", "The server is stopping: connect again and resume.")


class LiveStream:
    """Everything after `cursor`, in order, nothing twice, nothing left out. Read by one task; close it."""

    def __init__(self, *, listener: Listener, cursor: NotificationId, behind: bool, store: NotificationStore) -> None:
        self.cursor = cursor
        self._listener = listener
        self._behind = behind
        self._store = store

    async def read(self) -> Sequence[Message]:
        """The next notifications as JSON, waiting for the first; errors as `Listener.hear`."""
        while True:
            messages = await self._catch_up() if self._behind else await self._listen()
            if messages:
                self.cursor = NotificationId(messages[-1].cursor)
                return messages

    def close(self) -> None:
        """Stop listening; twice is fine."""
        self._listener.close()

    async def _catch_up(self) -> Sequence[Message]:
        user_id = self._listener.actor.user_id
        page = await self._store.after(user_id, self.cursor, PAGE)
        self._behind = len(page) == PAGE
        return [Message(f"user:{user_id}", _encode(one), one.id) for one in page]

    async def _listen(self) -> Sequence[Message]:
        messages = await self._listener.hear()
        if messages is None:
            self._behind = True
            return []
        last = int(self.cursor)
        new = []
        for message in messages:
            if message.cursor > last:  # a repeated batch is announced again
                last = message.cursor
                new.append(message)
        return new


class TaskStream:
    """What happens to all tasks from now on. Lossy by contract: a reader that is too slow is told of the gap."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def read(self) -> Sequence[TaskEvent] | None:
        """The next events, waiting for the first; None when some were lost. Errors as `Listener.hear`."""
        messages = await self._listener.hear()
        if messages is None:
            return None
        return [events.decode(events.TASK_EVENTS, one.body) for one in messages if one.channel == TASKS]

    def close(self) -> None:
        """Stop listening; twice is fine."""
        self._listener.close()


class TaskSignals:
    """Says that one task may have changed. Bursts are heard as one."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def wait(self) -> None:
        """Until the task may have changed; errors as `Listener.hear`."""
        await self._listener.hear()

    def close(self) -> None:
        """Stop listening; twice is fine."""
        self._listener.close()


class Viewers:
    """Who looks at one task at this moment, as far as they say so themselves, every few seconds."""

    def __init__(self, listener: Listener, push: Push, clock: Clock, channel: str) -> None:
        self._listener = listener
        self._push = push
        self._clock = clock
        self._channel = channel
        self._seen: dict[UserId, float] = {}

    async def read(self) -> list[UserId]:
        """The others, whenever they are not the same as before; errors as `Listener.hear`."""
        before = set(self._seen)
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    messages = await self._listener.hear()
            except TimeoutError:
                messages = []
                await self.say("here")
            for message in messages or ():
                await self._take(_decode_word(message.body))
            now = self._clock.monotonic()
            self._seen = {who: at for who, at in self._seen.items() if now - at < GONE_S}
            if set(self._seen) != before:
                return sorted(self._seen)

    async def say(self, word: str) -> None:
        """Tell the others: `hello` wants an answer, `here` gives it, `bye` takes leave."""
        await self._push.publish([Message(self._channel, _encode((self._listener.actor.user_id, word)))])

    async def close(self) -> None:
        """Take leave; twice is fine."""
        self._listener.close()
        await self.say("bye")

    async def _take(self, said: tuple[UserId, str]) -> None:
        who, word = said
        if who == self._listener.actor.user_id:
            if word == "bye":  # another window of the same user was closed; this one looks on
                await self.say("here")
            return
        if word == "bye":
            self._seen.pop(who, None)
            return
        self._seen[who] = self._clock.monotonic()
        if word == "hello":
            await self.say("here")


class Feed:
    """Passes events about tasks on to whoever watches them all."""

    def __init__(self, *, push: Push) -> None:
        self._push = push

    async def announce(self, told: Sequence[TaskEvent]) -> None:
        """Publish events; where nobody watches it costs one question."""
        if await self._push.listening([TASKS]):
            await self._push.publish([Message(TASKS, events.encode(event)) for event in told])


class Live:
    """Opens streams."""

    def __init__(
        self, *, store: NotificationStore, sessions: SessionStore, push: Push, clock: Clock, stopping: Stopping
    ) -> None:
        self._stopping = stopping
        self._store = store
        self._sessions = sessions
        self._push = push
        self._clock = clock

    async def open(self, actor: Actor, after: NotificationId | None, *, field: str = "after") -> LiveStream:
        """A stream of the actor's notifications that come after a cursor, or from now on. `field` names the cursor."""
        listener = await self._listener(actor, f"user:{actor.user_id}")
        try:
            # Subscribed first: what arrives while the cursor is read is in the buffer.
            last = await self._store.last_id(actor.user_id)
            if after is not None and after > last:
                raise invalid(field, f"is ahead of the inbox, which ends at {last}: begin without it")  # noqa: TRY301
            await listener.check_session()
        except BaseException:
            listener.close()
            raise
        cursor = last if after is None else after
        return LiveStream(listener=listener, cursor=cursor, behind=after is not None, store=self._store)

    async def watch_all(self, actor: Actor) -> TaskStream:
        """A stream of what happens to all tasks."""
        return TaskStream(await self._checked(actor, TASKS))

    async def watch(self, actor: Actor, task_id: TaskId) -> TaskSignals:
        """Signals of one task's changes."""
        return TaskSignals(await self._checked(actor, task_key(task_id)))

    async def look(self, actor: Actor, task_id: TaskId) -> Viewers:
        """Say that the actor looks at a task, and hear who else does."""
        channel = f"viewers:{task_id}"
        listener = await self._checked(actor, channel)
        viewers = Viewers(listener, self._push, self._clock, channel)
        try:
            await viewers.say("hello")
        except BaseException:
            listener.close()
            raise
        return viewers

    async def _checked(self, actor: Actor, channel: str) -> Listener:
        listener = await self._listener(actor, channel)
        try:
            await listener.check_session()
        except BaseException:
            listener.close()
            raise
        return listener

    async def _listener(self, actor: Actor, channel: str) -> Listener:
        channels = [channel, f"session:{actor.session_id}", self._stopping.channel]
        subscription = await self._push.subscribe(channels)
        return Listener(actor, subscription, self._sessions, self._clock, self._stopping)


def _expiry(actor: Actor) -> Message:
    return Message(f"session:{actor.session_id}", b"")


def _expired() -> Unauthenticated:
    return Unauthenticated("The token has expired.", code="token_expired")


def _ended() -> Unauthenticated:
    return Unauthenticated("The session has ended.", code="session_ended")

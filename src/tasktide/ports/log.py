"""The durable event log: topics of records, read by groups that remember how far they are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from tasktide.domain.errors import Unavailable
from tasktide.domain.events import encode
from tasktide.domain.times import Timestamp

# From this part of the limit on, and not below so many records, who appends is held back; for so many looks, so far
# apart, at most.
HELD_FROM, LEAST_HELD = 0.1, 100
LOOKS, LOOK_S = 50, 0.02


class Record(NamedTuple):
    """A record to append: `value` is one event as JSON; records of one `key` keep their order.

    `event` is what the value decodes to, when the writer has it at hand: a reader in the same process is spared
    the decoding. A log may drop it.
    """

    topic: str
    key: str
    value: bytes
    event: Any = None

    @classmethod
    def of(cls, topic: str, key: str, event: Struct) -> "Record":
        """The record of an event."""
        return cls(topic, key, encode(event), event)


class Stored(NamedTuple):
    """A record read back, at its position in the topic; `event` None: decode the value."""

    position: int
    key: str
    value: bytes
    event: Any = None


class Lag(NamedTuple):
    """How far a group is behind: records not yet committed, and the age in seconds of the oldest of them."""

    records: int
    age_s: float


class Reader(Protocol):
    """One group's way through one topic, for one reading task; a commit may go on beside the next read."""

    # What a batch costs beside its records makes it worth waiting so long for a larger one, when there is much to do.
    linger_s: float

    async def read(self, limit: int, wait_s: float) -> Sequence[Stored]:
        """The next records in order, at most `limit`; empty when none came within `wait_s` seconds.

        Starts after the last committed position; each record once per reader. Unavailable when the engine is away.
        """
        ...

    async def commit(self, position: int) -> None:
        """Remember that everything up to and including this position has been handled.

        Durable when it returns. After a crash, reading starts behind the last commit.
        """
        ...

    async def lag(self) -> Lag:
        """How far the group is behind the end of the topic."""
        ...


class Log(Protocol):
    """Appends for everyone, readers for groups."""

    async def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, all of one call together and in order. Unavailable when that failed."""
        ...

    def begin(self, records: Sequence[Record]) -> "asyncio.Future[None]":
        """As `append` of at least one record, begun now: what tells when they are durable, or why they are not.

        Unavailable at once when no more can be taken.
        """
        ...

    def reader(self, topic: str, group: str) -> Reader:
        """A reader for the group; one at a time for each group and topic in a process."""
        ...

    async def settled(self, topic: str, group: str, timeout_s: float) -> bool:
        """Wait until the group has committed all that the topic held at the call; False when time ran out."""
        ...

    async def backlog(self, topic: str, group: str) -> int:
        """How many records of the topic the group has not committed; cheap enough to ask on every request."""
        ...

    def backlog_now(self, topic: str, group: str) -> int | None:
        """As `backlog`, as far as it is known without asking anybody."""
        ...

    async def committed(self, topic: str, group: str) -> int:
        """A number that grows whenever the group commits; as cheap as `backlog`, and as old."""
        ...

    async def trim(self, before: Timestamp) -> int:
        """Forget records older than that and committed by every group of their topic; how many batches went.

        A group that must read a topic (`events.READERS`) holds its records even before it has run once.
        """
        ...

    async def ping(self) -> None:
        """Return when the engine answers; Unavailable when it does not."""
        ...


class Backpressure:
    """Slows down who appends to a topic while a group that reads it is behind, and refuses them at the limit.

    Held back for a second at most, they wait in front of the log instead of their records behind it: all is as fast,
    and what was accepted is handled soon. While the group commits nothing nobody waits for it, until the limit.
    """

    def __init__(self, log: Log, topic: str, group: str, limit: int) -> None:
        self._log = log
        self._topic = topic
        self._group = group
        self._limit = limit
        self._held_from = min(limit, max(LEAST_HELD, limit * HELD_FROM))
        # Records of those who were let in and have not appended yet: the log does not know of them.
        self._entering = 0
        # What the group had committed when it was found to stand still.
        self._still_at: int | None = None
        self._watch: asyncio.Task[None] | None = None

    def is_open(self) -> bool:
        """Whether `enter` would begin at once, as far as that is known without asking anybody."""
        behind = self._log.backlog_now(self._topic, self._group)
        return behind is not None and self._entering + behind <= self._held_from

    def entered(self, records: int) -> None:
        """Count what is being appended without `enter`, until it has `left`."""
        self._entering += records

    def left(self, records: int) -> None:
        """Those records are on the log, or will not be."""
        self._entering -= records

    @contextlib.asynccontextmanager
    async def enter(self, records: int) -> AsyncIterator[None]:
        """Around an append: begins when there is room for more; Unavailable when there is none."""
        behind = await self._behind()
        if behind > self._held_from and not await self._stands_still():
            if self._watch is None:
                self._watch = asyncio.create_task(self._until_relieved(), name=f"backpressure-{self._topic}")
            await asyncio.wait([self._watch])
            behind = await self._behind()
        if behind > self._limit:
            detail = f"{self._topic} grows faster than {self._group} can follow; try again in a moment."
            raise Unavailable(self._group, detail)
        self.entered(records)
        try:
            yield
        finally:
            self.left(records)

    async def _until_relieved(self) -> None:
        """One watch for all who wait."""
        try:
            began_at = await self._log.committed(self._topic, self._group)
            for _ in range(LOOKS):
                await asyncio.sleep(LOOK_S)
                if await self._behind() <= self._held_from:
                    return
            ended_at = await self._log.committed(self._topic, self._group)
            self._still_at = ended_at if ended_at == began_at else None
        except Unavailable:
            return  # who waits will be told so
        finally:
            self._watch = None

    async def _behind(self) -> int:
        return self._entering + await self._log.backlog(self._topic, self._group)

    async def _stands_still(self) -> bool:
        return self._still_at is not None and self._still_at == await self._log.committed(self._topic, self._group)

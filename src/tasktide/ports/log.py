"""The durable event log: topics of records, read by groups that remember how far they are."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from tasktide.domain.events import encode
from tasktide.domain.times import Timestamp

# The longest value that every log takes.
RECORD_BYTES = 19_000_000


class Record(Struct, frozen=True, gc=False):
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


class Stored(Struct, frozen=True, gc=False):
    """A record read back, at its position in the topic; `event` None: decode the value."""

    position: int
    key: str
    value: bytes
    event: Any = None


def lane_of(key: str, lanes: int) -> int:
    """Whose the records of a key are; another lane's in the next process."""
    return hash(key) % lanes


class Share(NamedTuple):
    """What one of several readers of a group in this process reads of a topic: all records of its keys."""

    lane: int = 0
    lanes: int = 1

    def has(self, key: str) -> bool:
        """Whether records of this key are the lane's."""
        return lane_of(key, self.lanes) == self.lane

    def has_any(self, records: Sequence[Record]) -> bool:
        """Whether one of the records is the lane's."""
        return self.lanes == 1 or any(self.has(record.key) for record in records)


WHOLE = Share()


class Lag(NamedTuple):
    """How far a group is behind: records not yet committed, and the age in seconds of the oldest of them."""

    records: int
    age_s: float


class Reader(Protocol):
    """One group's way through one topic, for one reading task; a commit may go on beside the next read."""

    # What a batch costs beside its records makes it worth waiting so long for a larger one, when there is much to do.
    linger_s: float
    # Behind a batch that is too small for that, the next is not asked for so long: fewer batches, at the same latency.
    rest_s: float
    # How many records a batch holds at most, for the same reason.
    most: int

    async def read(self, limit: int, wait_s: float) -> Sequence[Stored]:
        """The next records in order, at most `limit`; empty when none came within `wait_s` seconds.

        Starts after the last committed position; each record once per reader. One of several readers asks when it has
        handled what it was given. Unavailable when the engine is away.
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

    def reader(self, topic: str, group: str, share: Share = WHOLE) -> Reader:
        """The group's reader in this process, or one of several: then there must be one for each share."""
        ...

    def lanes(self, topic: str) -> int:
        """How many readers a group should have in a process."""
        ...

    async def settled(self, topic: str, group: str, timeout_s: float) -> bool:
        """Wait until the group has committed all that the topic held at the call; False when time ran out."""
        ...

    async def backlog(self, topic: str, group: str) -> int:
        """How many records of the topic the group has not committed, or a few more; cheap enough to ask every time."""
        ...

    def backlog_now(self, topic: str, group: str) -> int | None:
        """About as many as `backlog`, as far as that is known without asking anybody; None when it is not."""
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

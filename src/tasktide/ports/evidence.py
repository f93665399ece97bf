"""Everything that is kept: what a verification reads."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.ports.log import Stored

SEARCHED = ("version", "status", "priority", "creator_id", "performer_id", "handler", "created_at", "updated_at")


class KeptRecord(NamedTuple):
    """A record of the log: the partition it is in, its number there (1, 2, ...), and itself."""

    partition: int
    number: int
    record: Stored


class KeptTask(NamedTuple):
    """A stored task: itself as JSON, and the fields `SEARCHED` as the store searches by them."""

    task_id: TaskId
    body: bytes
    searched: tuple[Any, ...]


class KeptEvent(NamedTuple):
    """One event of a task's history, as JSON."""

    task_id: TaskId
    version: int
    body: bytes


class KeptNotification(NamedTuple):
    """One notification of an inbox."""

    notification_id: NotificationId
    user_id: UserId
    event_id: str
    content: tuple[str, int | None, str]
    """Kind, task and message."""


class Exceptions(NamedTuple):
    """Tasks that were deleted, dead letters as (topic, pipeline, position), and users with preferences of their own."""

    deleted: frozenset[TaskId]
    parked: frozenset[tuple[str, str, int]]
    choosy: frozenset[UserId]


class LogEvidence(Protocol):
    """What the log holds. Asked before the stores: a record that is said to be committed has had its effect there."""

    def log(self, topic: str) -> AsyncIterator[Sequence[KeptRecord]]:
        """All records still held, each partition in order."""
        ...

    async def committed(self, topic: str, group: str) -> Mapping[int, int]:
        """The number of the last record that a group has committed, by partition; absent: none."""
        ...


class StoreEvidence(Protocol):
    """What the stores hold, streamed in pages."""

    def tasks(self) -> AsyncIterator[Sequence[KeptTask]]:
        """All tasks, by id."""
        ...

    def history(self) -> AsyncIterator[Sequence[KeptEvent]]:
        """All events of all tasks, by task and version."""
        ...

    def notifications(self) -> AsyncIterator[Sequence[KeptNotification]]:
        """All inboxes, each user's by id."""
        ...

    async def exceptions(self) -> Exceptions:
        """What explains that something is not there."""
        ...

    async def outgoing(self) -> int:
        """How many records the stores have yet to say to the log."""
        ...

    async def damage(self) -> Sequence[str]:
        """What the engine's own check of its files finds wrong."""
        ...

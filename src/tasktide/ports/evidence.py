"""Everything that is kept, as one moment shows it: what a verification reads."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.ports.log import Stored


class KeptTask(NamedTuple):
    """A stored task: its version and status as the store searches by them, and itself as JSON."""

    task_id: TaskId
    version: int
    status: str
    body: bytes


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


class Evidence(Protocol):
    """Streams in pages, consistent even while a server works on.

    A record that is said to be committed has had its effect in what is shown.
    """

    def log(self, topic: str) -> AsyncIterator[Sequence[Stored]]:
        """All records still held, by position."""
        ...

    def tasks(self) -> AsyncIterator[Sequence[KeptTask]]:
        """All tasks, by id."""
        ...

    def history(self) -> AsyncIterator[Sequence[KeptEvent]]:
        """All events of all tasks, by task and version."""
        ...

    def notifications(self) -> AsyncIterator[Sequence[KeptNotification]]:
        """All inboxes, by id."""
        ...

    async def committed(self, topic: str, group: str) -> int:
        """How far a group is."""
        ...

    async def exceptions(self) -> "Exceptions":
        """What explains that something is not there."""
        ...

    async def damage(self) -> Sequence[str]:
        """What the engine's own check of its files finds wrong."""
        ...


class Exceptions(NamedTuple):
    """Tasks that were deleted, dead letters as (topic, pipeline, position), and users with preferences of their own."""

    deleted: frozenset[TaskId]
    parked: frozenset[tuple[str, str, int]]
    choosy: frozenset[UserId]

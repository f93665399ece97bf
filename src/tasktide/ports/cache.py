"""The cache: snapshots by key. Never the only copy of anything."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from tasktide.domain.events import encode
from tasktide.domain.ids import TaskId
from tasktide.domain.tasks import Task

TASK_TTL_S = 600.0


class Snapshot(NamedTuple):
    """Something at a version, as JSON; an empty body says that it is gone."""

    key: str
    version: int
    body: bytes
    ttl_s: float


def task_key(task_id: TaskId) -> str:
    """Where a task is kept, and the channel that tells of its changes."""
    return f"task:{task_id}"


def of_task(task: Task) -> Snapshot:
    """A task as it is kept."""
    return Snapshot(task_key(task.id), task.version, encode(task), TASK_TTL_S)


def of_no_task(task_id: TaskId, version: int) -> Snapshot:
    """A task that was deleted at that version."""
    return Snapshot(task_key(task_id), version, b"", TASK_TTL_S)


class Cache(Protocol):
    """Bounded: the least recently used entries go first. An engine that is away reads as empty."""

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """The bodies that are there and not expired."""
        ...

    async def put(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep the snapshots; one never replaces a newer version of the same key."""
        ...

    async def drop(self, keys: Collection[str]) -> None:
        """Forget keys, whatever their version."""
        ...

"""The task store."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec import UNSET, Struct, UnsetType

from tasktide.domain import audience, tasks, times
from tasktide.domain.events import TASK_EVENTS, TASK_INPUT, Envelope, TaskEvent, created, encode, planned, work
from tasktide.domain.ids import TaskId
from tasktide.domain.paging import TaskFilter, TaskQuery
from tasktide.domain.tasks import Task
from tasktide.domain.times import Timestamp
from tasktide.ports.log import Record
from tasktide.ports.notifications import record

T = TypeVar("T")

# People concerned by what one transaction stores: a plan for each goes with it, and a task may concern a hundred.
MOST_TOLD = 5_000


class Entry(Struct, frozen=True, gc=False):
    """A task to insert with its first event, and whatever else must be said with it."""

    task: Task
    event: TaskEvent
    records: tuple[Record, ...] = ()
    wake_at: Timestamp | None = None
    remind_at: Timestamp | None = None


class Change(Struct, frozen=True, kw_only=True):
    """One task's next state with the event that says so, valid while its version is still `expected_version`.

    `after` None deletes the task. `event` None changes only the alarms and appends `records`.
    An alarm left UNSET stays as it was.
    """

    task_id: TaskId
    expected_version: int
    after: Task | None
    event: TaskEvent | None = None
    records: tuple[Record, ...] = ()
    wake_at: Timestamp | UnsetType | None = UNSET
    remind_at: Timestamp | UnsetType | None = UNSET


class HistoryData(Struct, frozen=True, gc=False):
    """The version after an event, and what changed: field to [from, to]."""

    version: int
    changes: dict[str, tuple[Any, Any]]


class HistoryItem(Envelope[HistoryData], frozen=True, kw_only=True, gc=False):
    """An event as history keeps it: without the snapshot, which the changes add up to."""

    type: str


def concerned(task: Task | None) -> int:
    """How many people an event of the task concerns at most."""
    return 2 + (len(task.observer_ids) if task is not None else 0)


def parts(items: Sequence[T], concerning: Callable[[T], Task | None]) -> Iterator[Sequence[T]]:
    """The items in order, as many at a time as the tasks they are about concern `MOST_TOLD` people; at least one."""
    first = people = 0
    for index, item in enumerate(items):
        more = concerned(concerning(item))
        if people + more > MOST_TOLD and index > first:
            yield items[first:index]
            first, people = index, 0
        people += more
    if first < len(items):
        yield items[first:]


def entry(task: Task, actor: str, traceparent: str | None, now: Timestamp) -> Entry:
    """How a submission is stored: with the first event of its life, and with the order to run it if it is a job."""
    wake = tasks.wake_at(task)
    records: tuple[Record, ...] = ()
    if wake is not None and wake <= now:
        records = (Record.of(TASK_INPUT, str(task.id), work(task, now)),)
        wake = None
    return Entry(task, created(task, actor, traceparent), records, wake, tasks.remind_at(task))


def told(event: TaskEvent) -> list[Record]:
    """What goes on the log in the transaction that makes an event true: the event, and a plan for each concerned."""
    plans = [record(planned(plan, event.actor, event.time)) for plan in audience.plan(event)]
    return [Record.of(TASK_EVENTS, str(event.data.task.id), event), *plans]


def history_item(event: TaskEvent) -> bytes:
    """An event as history keeps it, as JSON."""
    return encode(
        HistoryItem(
            id=event.id,
            type=event.type,
            subject=event.subject,
            time=event.time,
            actor=event.actor,
            traceparent=event.traceparent,
            data=HistoryData(event.data.task.version, event.data.changes),
        )
    )


def ran_ms(change: Change) -> int | None:
    """How long a job ran that this change finishes, for the totals; None for every other change."""
    event = change.event
    if event is None or event.type != "task.completed" or not event.data.task.is_job:
        return None
    task = event.data.task
    if task.started_at is None or task.finished_at is None:
        return 0
    # A clock that went back meanwhile takes nothing away from the others.
    return max(0, times.epoch_ms(task.finished_at) - times.epoch_ms(task.started_at))


class Totals(NamedTuple):
    """Jobs done since the beginning, and the milliseconds they ran, summed."""

    done: int
    processing_ms: int


class TaskStore(Protocol):
    """Tasks, their history and alarms. State and the events it causes travel in one call.

    Events go into the history and to the log (`told`), with a plan for each person concerned. Every method raises
    Unavailable when the engine is away, full or too busy; then nothing was changed, or the call may be repeated.
    """

    async def insert(self, entries: Sequence[Entry]) -> None:
        """Store new tasks, then append their events and records. Durable when it returns.

        Idempotent by id: a known or deleted task stays as it is; its events may be appended once more.
        """
        ...

    async def commit(self, changes: Sequence[Change]) -> frozenset[TaskId]:
        """Apply changes whose version still holds, with their events and records, in one transaction.

        The ids that were applied are returned; of the others nothing was written, events included.
        """
        ...

    async def get(self, task_ids: Collection[TaskId]) -> dict[TaskId, Task]:
        """The stored tasks of these ids; the unknown and the deleted are absent."""
        ...

    async def find(self, query: TaskQuery) -> Sequence[Task]:
        """A page in the query's order. Read to the end, a list repeats and misses nothing that stood still."""
        ...

    async def history(self, task_id: TaskId, after_version: int, limit: int) -> Sequence[bytes]:
        """A task's events, oldest first, as JSON: the envelope with `version` and `changes` as its data."""
        ...

    async def alarms(self, now: Timestamp, limit: int) -> Sequence[tuple[Task, bool, bool]]:
        """Tasks with an alarm at or before `now`, most overdue first: (task, must wake, must remind)."""
        ...

    async def purge(self, before: Timestamp) -> int:
        """Forget that tasks were deleted before then; how many. Submissions read again would bring them back."""
        ...

    async def count(self, where: TaskFilter) -> int:
        """How many tasks match."""
        ...

    async def totals(self) -> Totals:
        """What the workers have done."""
        ...

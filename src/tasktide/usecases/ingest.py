"""From submission to stored task."""

from collections.abc import Sequence

from tasktide.domain import events, tasks
from tasktide.domain.events import TaskIngested
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.log import Record
from tasktide.ports.tasks import Entry, TaskStore


class Ingest:
    """Stores submissions in batches; storing one twice is storing it once."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def receive(self, submissions: Sequence[TaskIngested]) -> None:
        """Insert the tasks with their first events; jobs that are ready are announced to the workers."""
        now = self._clock.now()
        await self._store.insert([_entry(submission, now) for submission in submissions])


def _entry(submission: TaskIngested, now: Timestamp) -> Entry:
    task = submission.data
    wake = tasks.wake_at(task)
    records: tuple[Record, ...] = ()
    if wake is not None and wake <= now:
        records = (Record.of(events.TASK_INPUT, str(task.id), events.work(task, now)),)
        wake = None
    return Entry(task, events.created(submission), records, wake, tasks.remind_at(task))

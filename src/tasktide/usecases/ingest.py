"""From submission to stored task."""

from collections.abc import Sequence

from tasktide.domain import events, tasks
from tasktide.domain.events import TaskIngested
from tasktide.domain.ids import TaskId
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.log import Record
from tasktide.ports.tasks import Entry, TaskStore, parts


class Ingest:
    """Stores submissions in batches; storing one twice is storing it once."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # Of a batch that is stored in parts: those that are. It is repeated while an engine is away, they need not be.
        self._through: set[tuple[TaskId, ...]] = set()

    async def receive(self, submissions: Sequence[TaskIngested]) -> None:
        """Insert the tasks with their first events and who is told of them; jobs that are ready go to the workers."""
        now = self._clock.now()
        for some in parts(submissions, lambda submission: submission.data):
            ids = tuple(submission.data.id for submission in some)
            if ids not in self._through:
                await self._store.insert([_entry(submission, now) for submission in some])
                self._through.add(ids)
        self._through.clear()


def _entry(submission: TaskIngested, now: Timestamp) -> Entry:
    task = submission.data
    wake = tasks.wake_at(task)
    records: tuple[Record, ...] = ()
    if wake is not None and wake <= now:
        records = (Record.of(events.TASK_INPUT, str(task.id), events.work(task, now)),)
        wake = None
    return Entry(task, events.created(submission), records, wake, tasks.remind_at(task))

"""From submission to stored task."""

from collections.abc import Iterator, Sequence

from tasktide.domain import events, tasks
from tasktide.domain.events import TaskIngested
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.log import Record
from tasktide.ports.tasks import Entry, TaskStore

# People concerned by what one transaction stores: a plan for each goes with it, and a task may concern a hundred.
MOST_TOLD = 5_000


class Ingest:
    """Stores submissions in batches; storing one twice is storing it once."""

    def __init__(self, *, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def receive(self, submissions: Sequence[TaskIngested]) -> None:
        """Insert the tasks with their first events and who is told of them; jobs that are ready go to the workers."""
        now = self._clock.now()
        for some in _parts(submissions):
            await self._store.insert([_entry(submission, now) for submission in some])


def _parts(submissions: Sequence[TaskIngested]) -> Iterator[Sequence[TaskIngested]]:
    """The submissions, as many at a time as concern `MOST_TOLD` people at most; at least one."""
    first = told = 0
    for index, submission in enumerate(submissions):
        told += 2 + len(submission.data.observer_ids)
        if told > MOST_TOLD and index > first:
            yield submissions[first:index]
            first, told = index, 2 + len(submission.data.observer_ids)
    if first < len(submissions):
        yield submissions[first:]


def _entry(submission: TaskIngested, now: Timestamp) -> Entry:
    task = submission.data
    wake = tasks.wake_at(task)
    records: tuple[Record, ...] = ()
    if wake is not None and wake <= now:
        records = (Record.of(events.TASK_INPUT, str(task.id), events.work(task, now)),)
        wake = None
    return Entry(task, events.created(submission), records, wake, tasks.remind_at(task))

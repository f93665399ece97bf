"""From submission to stored task."""

from collections.abc import Sequence

from tasktide.domain.events import TaskIngested
from tasktide.domain.ids import TaskId
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.tasks import Entry, TaskStore, entry, parts


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
                await self._store.insert([_entry(one, now) for one in some])
                self._through.add(ids)
        self._through.clear()


def _entry(submission: TaskIngested, now: Timestamp) -> Entry:
    return entry(submission.data, submission.actor, submission.traceparent or None, now)

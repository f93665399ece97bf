"""What happens because time passes: jobs become ready, due dates arrive, old things are forgotten."""

from random import Random

from msgspec import UNSET

from tasktide.domain import audience, events, retry, tasks
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import Timestamp, epoch_ms, later
from tasktide.ports.announce import announce
from tasktide.ports.cache import Cache
from tasktide.ports.clock import Clock
from tasktide.ports.jobs import Jobs
from tasktide.ports.log import Log, Record
from tasktide.ports.notifications import record
from tasktide.ports.push import Push
from tasktide.ports.replies import Replies
from tasktide.ports.tasks import Change, TaskStore, parts
from tasktide.ports.users import SessionStore

BATCH = 500
DELIVERIES_KEPT_S = 7 * 86_400.0
# Beyond what the log keeps: how long an engine that holds up the log's readers, or a task's move, may be away.
TOMBSTONES_KEPT_S = 7 * 86_400.0
# A worker extends its leases every third of their time; after a store was away, within this time more.
SAID_WITHIN_S = 6.0
# Wall time that passes faster or slower than it can: somebody has set the clock.
JUMP_S = 1.0
# A clock that was set wrong is set again within this time, or it was right.
SET_AGAIN_S = 600.0


class Schedule:
    """Alarms are rows; each is put out in the transaction that announces it, so none is lost or rung twice."""

    def __init__(
        self,
        *,
        store: TaskStore,
        log: Log,
        jobs: Jobs,
        replies: Replies,
        sessions: SessionStore,
        clock: Clock,
        random: Random,
        log_retention_s: float,
        cache: Cache,
        push: Push,
        job_lease_s: float,
    ) -> None:
        self._cache = cache
        self._push = push
        self._grace_s = job_lease_s / 3 + SAID_WITHIN_S
        # Since when looks have gone well one after the other, and the two clocks at the last one.
        self._steady_since: float | None = None
        self._jumped_at_s = float("-inf")
        self._looked_at: tuple[float, float] | None = None
        self._random = random
        self._store = store
        self._log = log
        self._jobs = jobs
        self._replies = replies
        self._sessions = sessions
        self._clock = clock
        self._log_retention_s = log_retention_s

    async def ring(self) -> int:
        """Announce what is due; how many alarms there were. Call again at once when it was a full batch."""
        now = self._clock.now()
        steady_since = self._steady(now)
        # Until this look has gone well too.
        self._steady_since = None
        due = await self._store.alarms(now, BATCH)
        if due:
            may_abandon = self._clock.monotonic() - steady_since >= self._grace_s
            rung = [self._rung(*alarm, now, may_abandon=may_abandon) for alarm in due]
            for some in parts(rung, lambda change: change.after):
                applied = await self._store.commit(some)
                abandoned = [one.after for one in some if one.event is not None and one.task_id in applied]
                await announce(self._cache, self._push, [task for task in abandoned if task is not None])
        self._steady_since = steady_since
        return len(due)

    async def sweep(self) -> None:
        """Forget expired sessions and replies, old deliveries and deletions, and log records that all have read.

        Not soon after the clock was set: it may have been set wrong, and what is forgotten does not come back.
        """
        now = self._clock.now()
        if self._clock.monotonic() - self._jumped_at_s < SET_AGAIN_S:
            return
        await self._sessions.purge(now)
        await self._replies.purge(now)
        await self._jobs.purge(later(now, -DELIVERIES_KEPT_S))
        await self._log.trim(later(now, -self._log_retention_s))
        await self._store.purge(later(now, -self._log_retention_s - TOMBSTONES_KEPT_S))

    def _steady(self, now: Timestamp) -> float:
        """Since when (monotonic) stores have answered without a break and the wall clock has not jumped."""
        wall_s, steady_s = epoch_ms(now) / 1_000, self._clock.monotonic()
        if self._looked_at is not None:
            wall_before_s, steady_before_s = self._looked_at
            if abs((wall_s - wall_before_s) - (steady_s - steady_before_s)) > JUMP_S:
                self._steady_since = None
                self._jumped_at_s = steady_s
        self._looked_at = wall_s, steady_s
        return steady_s if self._steady_since is None else self._steady_since

    def _rung(self, task: Task, wake: bool, remind: bool, now: Timestamp, *, may_abandon: bool) -> Change:  # noqa: FBT001 - an alarm
        if wake and task.is_job and task.status is Status.IN_PROGRESS:
            if may_abandon:
                return _abandoned(task, now, retry.backoff_s(task.attempts, self._random))
            # Its worker could not say that it lives either: it gets the time to.
            wake_at = later(now, self._grace_s)
            return Change(task_id=task.id, expected_version=task.version, after=task, wake_at=wake_at)
        return _rung(task, now, wake=wake, remind=remind)


def _abandoned(task: Task, now: Timestamp, delay_s: float) -> Change:
    """The lease of a running job has ended: whoever ran it is gone, and the attempt with it."""
    after = tasks.fail(task, tasks.WORKER_DIED, now, delay_s)
    return Change(
        task_id=task.id,
        expected_version=task.version,
        after=after,
        event=events.changed(task, after, events.WORKER),
        wake_at=after.run_at if after.status is Status.PENDING else None,
        remind_at=UNSET if after.status.is_open else None,
    )


def _rung(task: Task, now: Timestamp, *, wake: bool, remind: bool) -> Change:
    records = []
    if wake:
        records.append(Record.of(events.TASK_INPUT, str(task.id), events.work(task, now)))
    if remind and task.status.is_open:
        records += [record(events.planned(plan, events.SYSTEM, now)) for plan in audience.plan_due(task)]
    return Change(
        task_id=task.id,
        expected_version=task.version,
        after=task,
        records=tuple(records),
        wake_at=None if wake else UNSET,
        remind_at=None if remind else UNSET,
    )

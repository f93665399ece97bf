"""Running jobs: claim, run, finish."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec
import structlog
from msgspec import UNSET, Raw, Struct

from tasktide.domain import events, retry, tasks
from tasktide.domain.cancellation import is_cancelled
from tasktide.domain.errors import Unavailable
from tasktide.domain.events import Work
from tasktide.domain.handlers import Context, Demand, Handler
from tasktide.domain.ids import TaskId
from tasktide.domain.numbers import is_finite
from tasktide.domain.paging import Cursor, TaskFilter, TaskQuery
from tasktide.domain.tasks import Status, Task
from tasktide.domain.text import shorten
from tasktide.domain.times import EPOCH, Timestamp, later
from tasktide.ports.announce import announce
from tasktide.ports.cache import Cache, of_task
from tasktide.ports.clock import Clock
from tasktide.ports.log import Record
from tasktide.ports.push import Push
from tasktide.ports.tasks import Change, TaskStore, parts
from tasktide.ports.threads import OutOfTime, Threads

ERROR_LENGTH = 2_000
PAGE = 1_000
# How often works are looked at anew when somebody changes their tasks at the same moment, and the pause in between.
LOOKS, LOOK_S = 5, 0.02
# Failed attempts that the log tells of in a second: a stack trace costs as much as a job.
TOLD_A_SECOND = 10


class Attempt(Struct, frozen=True):
    """A job that is ours to run, as it was when it was claimed."""

    task: Task


class Outcome(Struct, frozen=True):
    """How an attempt ended: with a result, with an error, or with neither, when the worker stopped."""

    task: Task
    result: Raw | None = None
    error: str | None = None


class Processing:
    """Every attempt is durable before its handler runs, and its outcome is applied to that attempt alone."""

    def __init__(
        self,
        *,
        store: TaskStore,
        cache: Cache,
        push: Push,
        clock: Clock,
        random: Random,
        handlers: Mapping[str, Handler],
        result_bytes: int,
        threads: Threads,
        lease_s: float | None = None,
    ) -> None:
        self._lease_s = lease_s
        # What was begun by a call that ended with Unavailable: it may have begun all the same.
        self._doubtful: dict[TaskId, Task] = {}
        self._store = store
        self._cache = cache
        self._push = push
        self._clock = clock
        self._random = random
        self._handlers = handlers
        self._result_bytes = result_bytes
        self._logger = structlog.get_logger("worker")
        self._told_since, self._told = 0.0, 0
        self._threads = threads

    def demand(self, handler: str) -> Demand:
        """What a handler's attempts take of the worker. One that there is not fails its jobs one by one."""
        known = self._handlers.get(handler)
        return Demand(1, in_thread=False) if known is None else Demand(known.concurrency, in_thread=not known.is_async)

    @property
    def threads(self) -> int:
        """How many attempts may run in threads at once."""
        return self._threads.size

    async def orphans(self) -> list[Task]:
        """Jobs that are in progress before any worker of this process has begun one: their worker died.

        With leases there may be other workers: theirs are found when their leases end.
        """
        found: list[Task] = []
        if self._lease_s is not None:
            return found
        query = TaskQuery(filter=TaskFilter(statuses=(Status.IN_PROGRESS,)), descending=False, limit=PAGE)
        while page := await self._store.find(query):
            found += [task for task in page if task.is_job]
            last = Cursor(query.order, page[-1].created_at, page[-1].id)
            query = msgspec.structs.replace(query, after=last)
        return found

    async def claim(self, works: Sequence[Work]) -> list[Attempt]:
        """Of the works, those that are still wanted, begun durably: from now on the store knows of them.

        After Unavailable some of them may have begun: the same call again finds them.
        """
        begun: dict[TaskId, Attempt] = {}
        left = list(works)
        for turn in range(LOOKS):
            try:
                stored = await self._store.get({work.task_id for work in left})
                begun |= {task.id: Attempt(task) for task in stored.values() if self._is_doubtful(task)}
                wanted = {
                    task.id: task
                    for work in left
                    if (task := stored.get(work.task_id)) is not None and _is_wanted(task, work)
                }
                begun |= await self._start(list(wanted.values()))
            except Unavailable:
                self._doubtful |= {task_id: attempt.task for task_id, attempt in begun.items()}
                raise
            # One that was edited in between gets another look: the edit may have left this order as good as it was.
            missed = wanted.keys() - begun.keys()
            left = [work for work in left if work.task_id in missed]
            if not left:
                for work in works:
                    self._doubtful.pop(work.task_id, None)
                return list(begun.values())
            await asyncio.sleep(LOOK_S * turn)
        self._doubtful |= {task_id: attempt.task for task_id, attempt in begun.items()}
        raise Unavailable("store", "The tasks are changed or moved at this moment.")

    def _is_doubtful(self, stored: Task) -> bool:
        """Whether it was begun here, by a call that could not be told so."""
        tried = self._doubtful.get(stored.id)
        return tried is not None and _is_same(tried, stored)

    async def reclaim(self, orphans: Sequence[Task]) -> list[Attempt]:
        """Begin the next attempt of orphans; those whose last attempt it was are given up.

        An attempt that its worker did not survive is spent: that is how a job that kills comes to its end.
        After Unavailable some of them may have begun: the same call again finds them.
        """
        stored = await self._store.get({orphan.id for orphan in orphans})
        begun = {task.id: Attempt(task) for task in stored.values() if self._is_doubtful(task)}
        # Not one that was cancelled, retried and begun anew by this worker in the meantime.
        alive = [task for orphan in orphans if (task := stored.get(orphan.id)) and _is_same(orphan, task)]
        spent = [task for task in alive if task.attempts >= task.max_attempts]
        if spent:
            await self.finish([Outcome(task, error=tasks.WORKER_DIED) for task in spent])
        again = [task for task in alive if task.attempts < task.max_attempts]
        begun |= await self._start(again)
        missed = [task for task in again if task.id not in begun]
        if missed:
            try:
                begun |= {attempt.task.id: attempt for attempt in await self.reclaim(missed)}
            except Unavailable:
                self._doubtful |= {task_id: attempt.task for task_id, attempt in begun.items()}
                raise
        for task_id in begun:
            self._doubtful.pop(task_id, None)
        return list(begun.values())

    async def _start(self, some: Sequence[Task]) -> dict[TaskId, Attempt]:
        """Begin the next attempt of jobs, durably; those that somebody edited meanwhile are absent."""
        if not some:
            return {}
        now = self._clock.now()
        started = {task.id: tasks.start(task, now) for task in some}
        until = self._leased_until(now)
        try:
            applied = await self._store.commit([_changed(task, started[task.id], wake_at=until) for task in some])
        except Unavailable:
            self._doubtful |= started
            raise
        begun = {task_id: Attempt(task) for task_id, task in started.items() if task_id in applied}
        await self._remember([attempt.task for attempt in begun.values()])
        return begun

    async def run(self, attempt: Attempt) -> Outcome:
        """Call the handler; whatever it does becomes an outcome. Cancelling the call stops an async handler."""
        task = attempt.task
        handler = self._handlers.get(task.handler or "")
        if handler is None:
            return Outcome(task, error=f"There is no handler named {task.handler!r}.")
        context = Context(task.id, task.attempts, task.max_attempts)
        try:
            payload = msgspec.json.decode(task.payload)
            call = self._await if handler.is_async else self._threads.run
            return Outcome(task, result=self._result(await call(handler.run, payload, context, handler.timeout_s)))
        except OutOfTime:
            return Outcome(task, error=f"It ran longer than {handler.timeout_s:g} s.")
        except BaseException as error:
            if is_cancelled(error):
                raise  # the job was cancelled or the worker stops: the caller knows
            if not handler.is_shipped:
                self._tell(task, error)
            return Outcome(task, error=_describe(error))
        finally:
            context.cancelled.set()

    def _tell(self, task: Task, error: BaseException) -> None:
        """Where it went wrong, for who wrote the handler: the task says only what."""
        now_s = self._clock.monotonic()
        if now_s - self._told_since >= 1:
            self._told_since, self._told = now_s, 0
        self._told += 1
        if self._told <= TOLD_A_SECOND:
            attempt = f"{task.attempts} of {task.max_attempts}"
            self._logger.info("job failed", task_id=task.id, handler=task.handler, attempt=attempt, exc_info=error)
        elif self._told == TOLD_A_SECOND + 1:
            self._logger.info("more jobs fail", detail=f"{TOLD_A_SECOND} a second are shown.")

    async def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Store outcomes: done, failed, or waiting for the next attempt. Dropped if the attempt is over already."""
        left = {outcome.task.id: outcome for outcome in outcomes}
        current = {task_id: outcome.task for task_id, outcome in left.items()}
        while left:
            now = self._clock.now()
            changes = [self._finish(left[task_id], task, now) for task_id, task in current.items()]
            applied: set[TaskId] = set()
            for some in parts(changes, lambda change: change.after):
                applied |= await self._store.commit(some)
                held = [c.after for c in some if c.task_id in applied and c.after is not None]
                await announce(self._cache, self._push, held)
            # Somebody edited the others meanwhile: the outcome goes onto what they are now.
            stored = await self._store.get(left.keys() - applied)
            current = {task_id: task for task_id, task in stored.items() if _is_same(left[task_id].task, task)}
            # Those that are over: it may have been us, in a call that could not be told so.
            await announce(self._cache, self._push, [task for task in stored.values() if task.id not in current])
            left = {task_id: left[task_id] for task_id in current}

    async def extend(self, running: Sequence[Task]) -> None:
        """Say that these are still being run here, before their leases end."""
        if self._lease_s is None or not running:
            return
        stored = await self._store.get({task.id for task in running})
        until = self._leased_until(self._clock.now())
        ours = [now for task in running if (now := stored.get(task.id)) is not None and _is_same(task, now)]
        await self._store.commit(
            [Change(task_id=task.id, expected_version=task.version, after=task, wake_at=until) for task in ours]
        )

    @property
    def lease_s(self) -> float | None:
        """How long a job is ours without a word; None: as long as this process lives."""
        return self._lease_s

    def _leased_until(self, now: Timestamp) -> Timestamp | None:
        return None if self._lease_s is None else later(now, self._lease_s)

    async def put_off(self, works: Sequence[Work], delay_s: float) -> None:
        """Give orders back: the store announces the jobs that are still wanted anew after a while."""
        left = list(works)
        for turn in range(LOOKS):
            stored = await self._store.get({work.task_id for work in left})
            wake_at = later(self._clock.now(), delay_s)
            put_off = {
                task.id: Change(task_id=task.id, expected_version=task.version, after=task, wake_at=wake_at)
                for work in left
                if (task := stored.get(work.task_id)) is not None and _is_wanted(task, work)
            }
            missed = put_off.keys() - await self._store.commit(list(put_off.values()))
            left = [work for work in left if work.task_id in missed]
            if not left:
                return
            await asyncio.sleep(LOOK_S * turn)
        raise Unavailable("store", "The tasks are changed or moved at this moment.")

    async def _await(self, function: Callable[..., Any], payload: Any, context: Context, timeout_s: float) -> Any:
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                result = await function(payload, context)
        except TimeoutError:
            if deadline.expired():
                raise OutOfTime from None
            raise
        if deadline.expired():  # it was cancelled, and went on
            raise OutOfTime
        return result

    def _result(self, value: Any) -> Raw:
        if not is_finite(value):
            raise ValueError("the result holds a number that JSON cannot: nan or inf")
        encoded = msgspec.json.encode(value)
        if len(encoded) > self._result_bytes:
            raise ValueError(f"the result is {len(encoded)} bytes of JSON, more than {self._result_bytes}")
        return Raw(encoded)

    def _finish(self, outcome: Outcome, task: Task, now: Timestamp) -> Change:
        if outcome.result is not None:
            after = tasks.complete(task, outcome.result, now)
            done = Record.of(events.TASK_OUTPUT, str(task.id), events.output(after))
            return _changed(task, after, (done,))
        if outcome.error is None:
            return _changed(task, tasks.hand_back(task, now), wake_at=EPOCH)
        error = shorten(outcome.error, ERROR_LENGTH)
        after = tasks.fail(task, error, now, retry.backoff_s(task.attempts, self._random))
        return _changed(task, after, wake_at=after.run_at if after.status is Status.PENDING else None)

    async def _remember(self, changed: Sequence[Task]) -> None:
        await self._cache.put([of_task(task) for task in changed])


def _is_wanted(task: Task, work: Work) -> bool:
    return (
        task.status is Status.PENDING
        and task.attempts == work.attempt - 1
        and task.run_at == work.run_at
        and task.handler == work.handler  # its place is one of that handler's
    )


def _is_same(ours: Task, stored: Task) -> bool:
    """Whether the stored job is still in the attempt that we ran."""
    is_running = stored.status is Status.IN_PROGRESS
    return is_running and (stored.attempts, stored.started_at) == (ours.attempts, ours.started_at)


def _changed(before: Task, after: Task, records: tuple[Record, ...] = (), wake_at: Timestamp | None = None) -> Change:
    return Change(
        task_id=before.id,
        expected_version=before.version,
        after=after,
        event=events.changed(before, after, events.WORKER),
        records=records,
        wake_at=wake_at,
        remind_at=UNSET if after.status.is_open else None,
    )


def _describe(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    except BaseException:  # noqa: BLE001 - a handler's exception may fail even to say what it is
        text = type(error).__name__
    return text.encode("utf-8", "replace").decode()

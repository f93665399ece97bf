"""Where submissions become durable: on the log, from which they are stored, or in the store at once."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from tasktide.domain import events
from tasktide.domain.errors import Unavailable
from tasktide.domain.tasks import Task
from tasktide.ports.clock import Clock
from tasktide.ports.log import Log, Record
from tasktide.ports.metrics import Metrics
from tasktide.ports.tasks import MOST_TOLD, TaskStore, concerned, entry

# Tasks that may wait for the store.
WAITING = 20_000
# Tasks that one transaction takes from several batches: more would keep the event loop, which prepares it, for longer.
MOST = 1_000
# Tasks that wait, from which on the next transaction is prepared while one is written, and how many are under way then.
AHEAD, WRITERS = 500, 2


class Submission(Struct, frozen=True, gc=False):
    """A task to be accepted, who submits it, and the trace that it belongs to."""

    task: Task
    actor: str
    traceparent: str | None = None


class Intake(Protocol):
    """What is durable here is accepted: it is a stored task with its first event, or will be."""

    def begin(self, submissions: Sequence[Submission]) -> "asyncio.Future[None]":
        """Take them in, all or none, at least one: what tells when they are durable, or why they are not.

        Unavailable, at once or by and by, when no more can be taken; then the call may be repeated.
        """
        ...

    async def settled(self, timeout_s: float) -> bool:
        """Wait until all that was begun before the call is stored, or has failed; False when time ran out."""
        ...


class LogIntake:
    """On the log, from which `usecases.ingest` stores them: accepting takes an append, whatever storing takes."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def begin(self, submissions: Sequence[Submission]) -> "asyncio.Future[None]":
        """See the port."""
        return self._log.begin([_record(one) for one in submissions])

    async def settled(self, timeout_s: float) -> bool:
        """See the port."""
        return await self._log.settled(events.TASK_INGESTED, events.INGEST, timeout_s)


class _Batch(Struct, frozen=True, eq=False):
    """Submissions that are stored or fail together, how many people they concern, and who waits for them."""

    submissions: Sequence[Submission]
    people: int
    accepted: "asyncio.Future[None]"


class StoreIntake:
    """Batches in the store, where state, events and plans are one transaction; what is single goes on the log.

    A batch that is stored need not be written, read and committed a second time. A single submission is one of many
    that wait for each other, and an append is over sooner than a transaction. On the log goes as well what is too much
    for one transaction, and what the store refuses: there the record that is at fault is found and set aside.

    What comes while a transaction is written shares the next one.
    """

    def __init__(self, *, store: TaskStore, log: Log, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._log = LogIntake(log)
        self._clock = clock
        self._metrics = metrics
        self._waiting: list[_Batch] = []
        self._tasks_waiting = 0
        self._writers = 0
        self._storing: set[asyncio.Task[None]] = set()
        self._under_way: set[asyncio.Future[None]] = set()

    def begin(self, submissions: Sequence[Submission]) -> "asyncio.Future[None]":
        """See the port."""
        people = sum(concerned(one.task) for one in submissions)
        if len(submissions) == 1 or people > MOST_TOLD:
            return self._log.begin(submissions)
        if self._tasks_waiting + len(submissions) > WAITING:
            raise Unavailable("store", "The store has too much to write; try again in a moment.")
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(accepted)
        accepted.add_done_callback(self._under_way.discard)
        self._waiting.append(_Batch(submissions, people, accepted))
        self._tasks_waiting += len(submissions)
        if not self._writers or (self._writers < WRITERS and self._tasks_waiting >= AHEAD):
            # Counted here and where it ends, not by its task, which is over a turn after it looked for more in vain.
            self._writers += 1
            storing = asyncio.create_task(self._store_waiting(), name="intake")
            self._storing.add(storing)
            storing.add_done_callback(self._storing.discard)
        # Who stops waiting does not end it: it is stored all the same, and a repetition has to wait for that.
        return asyncio.shield(accepted)

    async def settled(self, timeout_s: float) -> bool:
        """See the port."""
        if self._under_way:
            _, late = await asyncio.wait(set(self._under_way), timeout=timeout_s)
            if late:
                return False
        return await self._log.settled(timeout_s)

    async def _store_waiting(self) -> None:
        try:
            while batches := self._next():
                await self._store_some(batches)
        finally:
            self._writers -= 1

    async def _store_some(self, batches: Sequence[_Batch]) -> None:
        began = time.perf_counter()
        now = self._clock.now()
        some = [one for batch in batches for one in batch.submissions]
        try:
            await self._store.insert([entry(one.task, one.actor, one.traceparent, now) for one in some])
        except Unavailable as away:
            for batch in batches:
                _settle(batch.accepted, away)
        except Exception:  # noqa: BLE001 - whatever one of them provokes, the others have no part in it
            for batch in batches:
                self._pass_on(batch)
        else:
            self._metrics.handled(events.INGEST, len(some), time.perf_counter() - began)
            for batch in batches:
                _settle(batch.accepted, None)

    def _next(self) -> list[_Batch]:
        """Those of the next transaction: at least one of those that wait, as many as are not too much together."""
        tasks = people = count = 0
        for batch in self._waiting:
            tasks += len(batch.submissions)
            people += batch.people
            if count and (tasks > MOST or people > MOST_TOLD):
                break
            count += 1
        some, self._waiting = self._waiting[:count], self._waiting[count:]
        self._tasks_waiting -= sum(len(batch.submissions) for batch in some)
        return some

    def _pass_on(self, batch: _Batch) -> None:
        try:
            appended = self._log.begin(batch.submissions)
        except Unavailable as full:
            _settle(batch.accepted, full)
        else:
            appended.add_done_callback(lambda ended: _settle(batch.accepted, ended.exception()))


def _record(one: Submission) -> Record:
    event = events.ingested(one.task, one.actor, one.traceparent)
    return Record.of(events.TASK_INGESTED, str(one.task.performer_id or one.task.id), event)


def _settle(accepted: "asyncio.Future[None]", error: BaseException | None) -> None:
    if error is None:
        accepted.set_result(None)
    else:
        accepted.set_exception(error)

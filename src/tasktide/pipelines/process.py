"""The worker: reads `task.input`, runs handlers, stores outcomes."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from tasktide.domain import events
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import TaskId
from tasktide.domain.tasks import Task
from tasktide.pipelines.consumer import Consumer
from tasktide.pipelines.places import Lane, Places
from tasktide.pipelines.waiting import Waiting, WaitingRoom, Watermark
from tasktide.ports.clock import Clock
from tasktide.ports.letters import Letters
from tasktide.ports.log import Log
from tasktide.ports.metrics import Metrics
from tasktide.ports.push import Push
from tasktide.usecases.processing import Attempt, Outcome, Processing
from tasktide.usecases.tasks import CANCELLED_JOBS

BATCH = 500
# Works read ahead of the workers: within it the most urgent goes first, beyond it the oldest.
WINDOW = 10_000
# Turns of the event loop between a claim and the next: a handler that waits for nothing is over by then.
QUICK_TURNS = 3
# Attempts claimed and not yet stored as finished, however fast their handlers are.
UNSTORED = 2_000
# A stopping worker lets its handlers run on for so long, then hands their jobs back.
FINISH_S = 4.0
# A handler that does not end even when it is cancelled is given up after this time.
CANCEL_S = 1.0
# A second order for a job that runs here is announced anew after this time, if it is still wanted.
AGAIN_S = 1.0
# How long a job that was interrupted twice is watched alone: what kills its worker mostly does it at once.
ALONE_S = 1.0
# A full waiting room is looked at this often. If its longest queue would take more than the patience to be claimed, at
# the pace of the last look, its newest half goes back to the store for a while, so that others come in.
RELIEVE_S = 2.0
PATIENCE_S = 10.0
PUT_OFF_S = 30.0
# Records from the first that waits to the last that was read: beyond it the oldest orders go back to the store,
# so that one that waits for hours does not keep the log from being committed and trimmed.
SPAN = 50_000


class Worker(Consumer):
    """A record is committed once its job is claimed: from then on the store remembers it, not the log.

    What a dead worker had claimed is found in the store at the start.
    """

    def __init__(
        self,
        *,
        name: str,
        processing: Processing,
        log: Log,
        letters: Letters,
        push: Push,
        clock: Clock,
        metrics: Metrics,
        concurrency: int,
    ) -> None:
        topic = events.TASK_INPUT
        super().__init__(name=name, topic=topic, log=log, letters=letters, clock=clock, metrics=metrics)
        self._processing = processing
        self._push = push
        self._clock = clock
        self._places = Places(concurrency, processing.threads, processing.demand)
        self._waiting = WaitingRoom(WINDOW)
        self._watermark = Watermark()
        self._running: dict[TaskId, asyncio.Task[Outcome]] = {}
        self._attempts: dict[TaskId, Task] = {}
        self._finished: list[Outcome] = []
        self._changed = asyncio.Event()
        self._unstored = 0
        self._claimed: Counter[str] = Counter()
        self._told_to_stop: set[TaskId] = set()
        # Those of a claim that is under way, and which of them were cancelled in the meantime.
        self._claiming: frozenset[TaskId] = frozenset()
        self._cancelled_early: set[TaskId] = set()
        self._stuck = False

    async def work(self) -> None:
        """Read, claim, run, store, until asked to stop; then hand back what is not finished in time."""
        orphans = await self.keep_trying(self._processing.orphans)
        cut = [
            self._spawn(self._read()),
            self._spawn(self._heed_cancellations()),
            self._spawn(self._stop.wait()),
        ]
        ended = [
            self._spawn(self._claim()),
            self._spawn(self._commit()),
            self._spawn(self._recover(orphans)),
            self._spawn(self._relieve()),
            self._spawn(self._extend()),
        ]
        storing = self._spawn(self._store())
        parts = [*cut, *ended, storing]
        try:
            await self._until_one_fails(parts)
        finally:
            self._stop.set()
            self._changed.set()
            for part in cut:
                part.cancel()
            # A claim under way is durable already: its job must begin, to be finished or handed back.
            await asyncio.wait([*cut, *ended])
            await self._hand_back()
            await asyncio.wait([storing])
        for part in parts:
            if not part.cancelled() and (error := part.exception()) is not None:
                raise error

    def _spawn(self, part: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.create_task(part)

    async def _until_one_fails(self, parts: Sequence[asyncio.Task[Any]]) -> None:
        running = set(parts)
        while running and not self.stopping:
            ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if any(part.exception() is not None for part in ended):
                return

    async def _read(self) -> None:
        while not self.stopping:
            if not self._waiting.room:
                await self._wait()
                continue
            found = await self.read(min(BATCH, self._waiting.room))
            now_s = self._clock.monotonic()
            for record, event in found:
                if not self._watermark.begin(record.position):
                    continue
                if event is None:
                    self._watermark.done(record.position)
                else:
                    self._waiting.add(record, event.data, now_s)
            if found:
                self._changed.set()

    async def _relieve(self) -> None:
        """Keep one slow handler from filling the waiting room, and an old order from holding the whole log back."""
        while not self.stopping:
            self._claimed.clear()
            await self.pause(RELIEVE_S)
            if self._waiting.room < BATCH:
                handler, count = self._waiting.longest()
                if self._claimed[handler] * PATIENCE_S < count * RELIEVE_S:
                    newest = self._waiting.evict_newest()
                    self.logger.warning("orders put off", handler=handler, count=len(newest), for_s=PUT_OFF_S)
                    await self._put_off(newest, PUT_OFF_S)
            if len(self._watermark) > SPAN:
                await self._put_off(self._waiting.evict_oldest(), PUT_OFF_S)
            self._changed.set()

    async def _claim(self) -> None:
        while not self.stopping:
            # Those that have ended and wait to be stored take nobody's place.
            taken = self._waiting.take(min(self._places.free, UNSTORED - self._unstored), self._places)
            if not taken:
                await self._wait()
                continue
            began = time.perf_counter()
            ready: list[Waiting] = []
            second: list[Waiting] = []
            for one in taken:  # sorted before anything is awaited: a job may end during the claim
                (second if one.work.task_id in self._running else ready).append(one)
            self._claiming = frozenset(one.work.task_id for one in ready)
            await self._claim_or_split(ready)
            self._claiming = frozenset()
            self._cancelled_early.clear()
            # A second order for a job that ran here is looked at again when that may be over.
            self._give_back(second)
            await self._put_off(second, AGAIN_S)
            self._changed.set()
            self._claimed.update(one.work.handler for one in ready)
            self.metrics.handled(self.name, len(ready), time.perf_counter() - began)
            # What was claimed begins now, and what is quick ends: one claim of many costs less than two of half.
            for _ in range(QUICK_TURNS):
                await asyncio.sleep(0)

    async def _commit(self) -> None:
        """Say how far the orders are done with. No claim waits for it: what is said late is only read again."""
        committed = 0
        while not self.stopping:
            if self._watermark.position == committed:
                await self._wait()
                continue
            committed = self._watermark.position
            await self.keep_trying(lambda: self.reader.commit(committed))  # noqa: B023 - awaited within the turn

    async def _claim_or_split(self, some: Sequence[Waiting]) -> None:
        if not some:
            return
        try:
            attempts = await self.keep_trying(lambda: self._processing.claim([one.work for one in some]))
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a record provokes
            if len(some) == 1:
                await self.park(some[0].record, error)
                self._give_back(some)
                self._watermark.done(some[0].position)
                return
            middle = len(some) // 2
            await self._claim_or_split(some[:middle])
            await self._claim_or_split(some[middle:])
            return
        begun = {attempt.task.id: attempt for attempt in attempts}
        for one in some:
            attempt = begun.get(one.work.task_id)
            if attempt is not None and attempt.task.handler == one.work.handler:
                self._begin(begun.pop(one.work.task_id), one.lane)
            else:  # it is wanted no more, as when its job got another handler: that one has an order of its own
                self._places.give_back(one.lane)
            self._watermark.done(one.position)
        self._begin_beside(begun.values())

    def _give_back(self, some: Sequence[Waiting]) -> None:
        for one in some:
            self._places.give_back(one.lane)

    async def _put_off(self, some: Sequence[Waiting], delay_s: float) -> None:
        """Give orders back to the store, which announces anew those that are still wanted then."""
        for first in range(0, len(some), BATCH):
            part = some[first : first + BATCH]
            await self.keep_trying(lambda: self._processing.put_off([one.work for one in part], delay_s))  # noqa: B023
            for one in part:
                self._watermark.done(one.position)

    def _begin(self, attempt: Attempt, lane: Lane) -> None:
        """Run it, in a place of the lane that was taken for it."""
        self._unstored += 1
        self._attempts[attempt.task.id] = attempt.task
        running = self._running[attempt.task.id] = asyncio.create_task(self._processing.run(attempt))
        # Not in a coroutine around it: one that is cancelled before its first step never comes to its `finally`.
        running.add_done_callback(lambda ended: self._ended(attempt.task, lane, ended))
        if attempt.task.id in self._cancelled_early:
            self._told_to_stop.add(attempt.task.id)
            running.cancel()

    def _ended(self, job: Task, lane: Lane, running: "asyncio.Task[Outcome]") -> None:
        if not running.cancelled():
            outcome = running.result()
        elif job.id in self._told_to_stop:
            outcome = Outcome(job)  # neither result nor error: handed back
        else:
            outcome = Outcome(job, error="CancelledError: the handler cancelled itself")
        self._told_to_stop.discard(job.id)
        self._places.give_back(lane)
        self._finished.append(outcome)
        self._changed.set()

    async def _store(self) -> None:
        while not (self.stopping and not self._finished and (self._stuck or not self._running)):
            if not self._finished:
                await self._wait()
                continue
            outcomes, self._finished = self._finished, []
            try:
                await self.keep_trying(lambda: self._processing.finish(outcomes))  # noqa: B023
            except Unavailable:
                raise
            except Exception:
                self.logger.exception("a batch of outcomes was refused")
                await self._store_singly(outcomes)
            for outcome in outcomes:
                self._running.pop(outcome.task.id, None)
                self._attempts.pop(outcome.task.id, None)
            self._unstored -= len(outcomes)
            self._changed.set()

    async def _store_singly(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            try:
                await self.keep_trying(lambda: self._processing.finish([outcome]))  # noqa: B023
            except Unavailable:
                raise
            except Exception as error:
                self.logger.exception("an outcome was refused", task_id=outcome.task.id)
                failed = Outcome(outcome.task, error=f"Its outcome could not be stored: {type(error).__name__}.")
                await self.keep_trying(lambda: self._processing.finish([failed]))  # noqa: B023

    async def _recover(self, orphans: Sequence[Task]) -> None:
        """Begin anew with the jobs of a dead worker.

        Those that were interrupted once go on together. One that was interrupted again runs alone for a
        moment, so that a job that kills its worker takes no neighbour's last attempt with it.
        """
        if orphans:
            self.logger.warning("jobs of a dead worker", count=len(orphans))
        twice = [task for task in orphans if 1 < task.attempts < task.max_attempts]
        alone = {task.id for task in twice}
        await self._reclaim([task for task in orphans if task.id not in alone])
        for task in twice:
            await self._reclaim([task])
            alone_until = self._clock.monotonic() + ALONE_S
            while task.id in self._running and self._clock.monotonic() < alone_until and not self.stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ALONE_S):
                        await self._wait()
            if self.stopping:
                return

    async def _reclaim(self, orphans: Sequence[Task]) -> None:
        """Begin their next attempts."""
        if orphans:
            self._begin_beside(await self.keep_trying(lambda: self._processing.reclaim(orphans)))

    def _begin_beside(self, attempts: Iterable[Attempt]) -> None:
        """Run attempts that no order brought, whether places are free or not: they are begun already."""
        for attempt in attempts:
            lane = Lane(attempt.task.handler or "", attempt.task.creator_id)
            self._places.take(lane)
            self._begin(attempt, lane)

    async def _heed_cancellations(self) -> None:
        subscription = await self._push.subscribe([CANCELLED_JOBS])
        try:
            while True:
                messages = await subscription.read()
                if messages is None:
                    continue  # a lost word costs nothing but the handler's time: its outcome is dropped
                for message in messages:
                    task_id = TaskId(int(message.body))
                    running = self._running.get(task_id)
                    if running is not None and not running.done():  # what is done is only not stored yet
                        self._told_to_stop.add(task_id)
                        running.cancel()
                    elif running is None and task_id in self._claiming:
                        self._cancelled_early.add(task_id)
        finally:
            subscription.close()

    async def _extend(self) -> None:
        """Keep the leases of what runs for long."""
        lease_s = self._processing.lease_s
        while lease_s is not None and not self.stopping:
            await self.pause(lease_s / 3)
            running = list(self._attempts.values())
            for first in range(0, len(running), BATCH):
                some = running[first : first + BATCH]
                await self.keep_trying(lambda: self._processing.extend(some))  # noqa: B023 - awaited within the turn

    async def _hand_back(self) -> None:
        """Let running handlers end, for a while; those that do not are cancelled, which hands their jobs back."""
        running = [task for task in self._running.values() if not task.done()]
        self._told_to_stop |= self._running.keys()
        if running:
            _, late = await asyncio.wait(running, timeout=FINISH_S)
            for task in late:
                task.cancel()
            if late:
                _, stuck = await asyncio.wait(late, timeout=CANCEL_S)
                if stuck:
                    self.logger.error("handlers do not stop", count=len(stuck))
                    self._stuck = True
        self._changed.set()

    async def _wait(self) -> None:
        """Until something has changed. Several wait at once, so each looks again for itself."""
        self._changed.clear()
        await self._changed.wait()

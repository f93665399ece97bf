"""What becomes of a job, whatever its handler does."""

import asyncio
import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from structlog.testing import capture_logs

from support import make
from support.engines import Engine
from support.pipelines import ECHO, processing, worker
from support.waiting import until
from tasktide.domain import events, tasks
from tasktide.domain.errors import Unavailable
from tasktide.domain.events import Work
from tasktide.domain.handlers import Context, Demand, Handler
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.tasks import WORKER_DIED, Status, Task
from tasktide.domain.times import Timestamp
from tasktide.pipelines import process
from tasktide.pipelines.places import Lane, Places
from tasktide.pipelines.process import Worker
from tasktide.pipelines.waiting import STEP_S, Waiting, WaitingRoom, Watermark
from tasktide.ports import tasks as store
from tasktide.ports.log import Record, Stored
from tasktide.ports.push import Message
from tasktide.ports.tasks import Change
from tasktide.usecases.processing import Attempt, Outcome, Processing


def handlers(**functions: Callable[..., Any]) -> dict[str, Handler]:
    return {name: Handler(name=name, run=function, timeout_s=0.1) for name, function in functions.items()}


async def submit(engine: Engine, *jobs: Task) -> None:
    await engine.tasks.insert([make.entry(job) for job in jobs])
    works = [Record(events.TASK_INPUT, str(job.id), events.encode(events.work(job, make.NOW))) for job in jobs]
    await engine.log.append(works)


async def current(engine: Engine, number: int) -> Task:
    return (await engine.tasks.get([make.task(number).id]))[make.task(number).id]


@asynccontextmanager
async def running(engine: Engine, made: dict[str, Handler], concurrency: int = 4) -> AsyncIterator[Worker]:
    started = worker(engine, made, concurrency)
    started.start()
    try:
        yield started
    finally:
        await started.stop()


async def finished(engine: Engine, number: int) -> Task:
    async def is_finished() -> bool:
        return not (await current(engine, number)).status.is_open

    await until(is_finished)
    return await current(engine, number)


class Crowd:
    """A handler that counts how many of its attempts there are at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def attend(self, _payload: Any, _context: Context) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.02)
        self.now -= 1


async def raises(_payload: Any, _context: Context) -> None:
    raise LookupError("no such thing")


async def hangs(_payload: Any, _context: Context) -> None:
    await asyncio.Event().wait()


def hangs_in_a_thread(_payload: Any, context: Context) -> None:
    context.cancelled.wait(20)


async def exits(_payload: Any, _context: Context) -> None:
    sys.exit(3)


def exits_in_a_thread(_payload: Any, _context: Context) -> None:
    sys.exit(3)


@dataclass
class Measured:
    value: float


async def returns_nan(_payload: Any, _context: Context) -> Any:
    return {"deep": [float("nan")]}


async def returns_nan_in_a_record(_payload: Any, _context: Context) -> Any:
    return [Measured(float("nan"))]


async def returns_inf_as_a_key(_payload: Any, _context: Context) -> Any:
    return {float("inf"): 1}


async def returns_half_of_a_text(_payload: Any, _context: Context) -> Any:
    return {"deep": msgspec.Raw(b'{"a":')}


async def goes_on_when_cancelled(_payload: Any, _context: Context) -> Any:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    return "late"


async def returns_an_object(_payload: Any, _context: Context) -> Any:
    return object()


async def returns_too_much(_payload: Any, _context: Context) -> Any:
    return "x" * 1_001


async def raises_its_own_timeout(_payload: Any, _context: Context) -> None:
    raise TimeoutError("upstream was slow")


async def raises_the_unspeakable(_payload: Any, _context: Context) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError("cannot even say it")

    raise Odd


async def cancels_itself(_payload: Any, _context: Context) -> None:
    raise asyncio.CancelledError


async def cancels_its_task(_payload: Any, _context: Context) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def exits_its_generator(_payload: Any, _context: Context) -> None:
    raise GeneratorExit


async def interrupts(_payload: Any, _context: Context) -> None:
    raise KeyboardInterrupt


def stops_iterating(_payload: Any, _context: Context) -> None:
    raise StopIteration


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (raises, "LookupError: no such thing"),
        (hangs, "It ran longer than 0.1 s."),
        (hangs_in_a_thread, "It ran longer than 0.1 s."),
        (exits, "SystemExit: 3"),
        (exits_in_a_thread, "SystemExit: 3"),
        (returns_nan, "ValueError: the result holds a number that JSON cannot: nan or inf"),
        (returns_nan_in_a_record, "ValueError: the result holds a number that JSON cannot: nan or inf"),
        (returns_inf_as_a_key, "ValueError: the result holds a number that JSON cannot: nan or inf"),
        (returns_half_of_a_text, "DecodeError: Input data was truncated"),
        (goes_on_when_cancelled, "It ran longer than 0.1 s."),
        (returns_an_object, "TypeError: Encoding objects of type object is unsupported"),
        (returns_too_much, "ValueError: the result is 1003 bytes of JSON, more than 1000"),
        (raises_its_own_timeout, "TimeoutError: upstream was slow"),
        (raises_the_unspeakable, "Odd"),
        (cancels_itself, "CancelledError"),
        (interrupts, "KeyboardInterrupt"),
        (cancels_its_task, "CancelledError: the handler cancelled itself"),
        (exits_its_generator, "GeneratorExit"),
        (stops_iterating, "HandlerFailed: StopIteration"),
    ],
)
async def test_a_handler_that_fails_fails_its_job_alone(
    engine: Engine, function: Callable[..., Any], error: str
) -> None:
    async def fine(payload: Any, _context: Context) -> Any:
        return payload

    bad = make.task(1, handler="bad", max_attempts=1)
    good = make.task(2, handler="good", payload=Raw(b'{"a": [1, null]}'))
    async with running(engine, handlers(bad=function, good=fine)):
        await submit(engine, bad, good)
        failed, done = await finished(engine, 1), await finished(engine, 2)
    assert (failed.status, failed.error, failed.attempts) == (Status.FAILED, error, 1)
    assert failed.finished_at is not None
    assert done.status is Status.DONE
    assert msgspec.json.decode(done.result) == {"a": [1, None]}


async def test_the_log_says_where_a_handler_failed_but_not_a_thousand_times(engine: Engine) -> None:
    with capture_logs(processors=[structlog.processors.format_exc_info]) as logged:
        async with running(engine, handlers(raises=raises), concurrency=100):
            await submit(engine, *(make.task(n, handler="raises", max_attempts=1) for n in range(1, 101)))
            for number in range(1, 101):
                await finished(engine, number)
    told = [line for line in logged if line["event"] == "job failed"]
    assert 1 <= len(told) < 100
    assert (told[0]["handler"], told[0]["attempt"]) == ("raises", "1 of 1")
    assert 'raise LookupError("no such thing")' in told[0]["exception"]
    assert any(line["event"] == "more jobs fail" for line in logged)


async def test_a_plain_function_runs_beside_the_event_loop(engine: Engine) -> None:
    names = []

    def plain(payload: Any, context: Context) -> str:
        names.append(threading.current_thread().name)
        time.sleep(0.001)
        return f"{payload} {context.attempt}/{context.max_attempts}"

    async with running(engine, handlers(plain=plain)):
        await submit(engine, make.task(1, handler="plain", payload=Raw(b'"x"')))
        done = await finished(engine, 1)
    assert bytes(done.result) == b'"x 1/3"'
    assert names[0].startswith("handler")


async def test_a_failing_job_waits_longer_each_time_and_ends_with_its_error(engine: Engine) -> None:
    job = make.task(1, handler="bad", max_attempts=3)
    waits = []
    async with running(engine, handlers(bad=raises)) as started:
        await submit(engine, job)
        for attempt in (1, 2):

            async def is_waiting(attempt: int = attempt) -> bool:
                task = await current(engine, 1)
                # An order that comes while the worker still has the last attempt in its hands is put off.
                return task.status is Status.PENDING and task.attempts == attempt and not started._running

            await until(is_waiting)
            task = await current(engine, 1)
            assert task.run_at is not None
            [(_, must_wake, _)] = await engine.tasks.alarms(task.run_at, 10)
            assert must_wake
            waits.append(task.run_at)
            event = Record(events.TASK_INPUT, "1", events.encode(events.work(task, make.NOW)))
            change = Change(task_id=task.id, expected_version=task.version, after=task, records=(event,), wake_at=None)
            await engine.tasks.commit([change])
        failed = await finished(engine, 1)
    assert make.NOW < waits[0] < waits[1]
    assert (failed.status, failed.attempts, failed.error) == (Status.FAILED, 3, "LookupError: no such thing")


async def test_cancelling_stops_a_running_handler(engine: Engine) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def patient(_payload: Any, _context: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    slow = {"patient": Handler(name="patient", run=patient, timeout_s=60)}
    async with running(engine, slow), asyncio.timeout(20):
        await submit(engine, make.task(1, handler="patient"))
        await begun.wait()
        before = await current(engine, 1)
        after = tasks.cancel(before, make.NOW)
        event = events.changed(before, after, "user:1")
        await engine.tasks.commit([Change(task_id=before.id, expected_version=2, after=after, event=event)])
        await engine.push.publish([Message("jobs:cancelled", b"1")])
        await stopped.wait()
    assert (await current(engine, 1)).status is Status.CANCELLED


async def test_a_cancellation_that_comes_with_the_claim_stops_the_handler_and_keeps_no_place(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    second = asyncio.Event()

    async def alone(payload: int, _context: Context) -> None:
        ran.append(payload)
        if payload == 2:
            second.set()
        await asyncio.Event().wait()

    made = {"alone": Handler(name="alone", run=alone, timeout_s=60, concurrency=1)}
    claim = Processing.claim

    async def slow_claim(processing: Processing, works: Sequence[Work]) -> list[Attempt]:
        attempts = await claim(processing, works)
        if any(work.task_id == 1 for work in works):
            cancelled = tasks.cancel(await current(engine, 1), make.NOW)
            event = events.changed(attempts[0].task, cancelled, "user:1")
            change = Change(task_id=cancelled.id, expected_version=2, after=cancelled, event=event)
            await engine.tasks.commit([change])
            await engine.push.publish([Message("jobs:cancelled", b"1")])
            for _ in range(50):  # turns of the loop: heard before the claim is over
                await asyncio.sleep(0)
        return attempts

    monkeypatch.setattr(Processing, "claim", slow_claim)
    async with running(engine, made), asyncio.timeout(20):
        await submit(engine, make.task(1, handler="alone", payload=Raw(b"1")))
        await submit(engine, make.task(2, handler="alone", payload=Raw(b"2")))
        await second.wait()
    assert ran == [2]
    assert (await current(engine, 1)).status is Status.CANCELLED


async def test_readers_see_an_outcome_whose_commit_could_not_say_that_it_held(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = type(engine.tasks).commit
    lost: list[int] = []

    async def lossy_commit(store: Any, changes: Sequence[Change]) -> frozenset[TaskId]:
        applied = await commit(store, changes)
        if not lost and any(change.after and change.after.status is Status.DONE for change in changes):
            lost.append(1)
            raise Unavailable("store", "The answer was lost.")
        return applied

    async def good(_payload: Any, _context: Context) -> int:
        return 1

    monkeypatch.setattr(type(engine.tasks), "commit", lossy_commit)
    async with running(engine, handlers(good=good)), asyncio.timeout(20):
        await submit(engine, make.task(1, handler="good"))

        async def is_seen() -> bool:
            return b'"done"' in (await engine.cache.get(["task:1"])).get("task:1", b"")

        await until(is_seen)
    assert lost


async def test_an_edit_while_it_runs_keeps_both_the_edit_and_the_result(engine: Engine) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def gated(_payload: Any, _context: Context) -> int:
        begun.set()
        await go.wait()
        return 42

    slow = {"gated": Handler(name="gated", run=gated, timeout_s=60)}
    async with running(engine, slow), asyncio.timeout(20):
        await submit(engine, make.task(1, handler="gated"))
        await begun.wait()
        before = await current(engine, 1)
        after = tasks.edit(before, {"title": "Renamed"}, make.NOW)
        event = events.changed(before, after, "user:1")
        await engine.tasks.commit([Change(task_id=before.id, expected_version=2, after=after, event=event)])
        go.set()
        done = await finished(engine, 1)
    assert (done.title, done.status, bytes(done.result)) == ("Renamed", Status.DONE, b"42")


async def test_a_stopping_worker_hands_back_what_is_not_through(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "FINISH_S", 0.01)
    begun = asyncio.Event()

    async def patient(_payload: Any, _context: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running(engine, {"patient": Handler(name="patient", run=patient, timeout_s=60)}):
        await submit(engine, make.task(1, handler="patient"))
        async with asyncio.timeout(20):
            await begun.wait()
    task = await current(engine, 1)
    assert (task.status, task.attempts) == (Status.PENDING, 0)
    [(_, must_wake, _)] = await engine.tasks.alarms(make.FAR, 10)
    assert must_wake


async def test_a_job_that_kills_its_worker_ends_as_failed_and_its_neighbours_as_done(engine: Engine) -> None:
    async def fine(payload: Any, _context: Context) -> Any:
        return payload

    jobs = [make.task(1, handler="killer"), make.task(2, handler="good")]
    started = [tasks.start(job, make.NOW) for job in jobs]
    await engine.tasks.insert([make.entry(job) for job in jobs])
    for before, after in zip(jobs, started, strict=True):
        event = events.changed(before, after, events.WORKER)
        await engine.tasks.commit([Change(task_id=before.id, expected_version=1, after=after, event=event)])
    # The worker died with both in progress, and dies again each time the killer is begun and its neighbour stored.
    killed = 0
    while (await current(engine, 1)).status.is_open:
        begun = asyncio.Event()

        async def killer(_payload: Any, _context: Context, begun: asyncio.Event = begun) -> None:
            begun.set()
            await asyncio.Event().wait()

        made = worker(engine, {"killer": Handler(name="killer", run=killer), "good": Handler(name="good", run=fine)})
        task = made.start()
        dying = asyncio.create_task(begun.wait())

        async def is_over(dying: asyncio.Task[bool] = dying) -> bool:
            is_stored = not (await current(engine, 2)).status.is_open
            return (dying.done() and is_stored) or not (await current(engine, 1)).status.is_open

        await until(is_over)
        killed += dying.done()
        everything = asyncio.all_tasks() - {asyncio.current_task()}
        for one in everything:
            one.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        assert task.done()
    failed = await current(engine, 1)
    assert (failed.status, failed.error, failed.attempts, killed) == (Status.FAILED, WORKER_DIED, 3, 2)
    async with running(engine, {"good": Handler(name="good", run=fine)}):
        assert (await finished(engine, 2)).status is Status.DONE


async def test_jobs_of_a_dead_worker_go_on_together(engine: Engine) -> None:
    jobs = [make.task(number, handler="together") for number in range(1, 4)]
    await engine.tasks.insert([make.entry(job) for job in jobs])
    for before in jobs:
        after = tasks.start(before, make.NOW)
        event = events.changed(before, after, events.WORKER)
        await engine.tasks.commit([Change(task_id=before.id, expected_version=1, after=after, event=event)])
    meeting = asyncio.Barrier(3)

    async def together(_payload: Any, _context: Context) -> None:
        await meeting.wait()

    async with running(engine, {"together": Handler(name="together", run=together, timeout_s=10)}):
        done = [await finished(engine, number) for number in range(1, 4)]
    assert [(task.status, task.attempts) for task in done] == [(Status.DONE, 2)] * 3


async def test_an_orphan_that_is_begun_anew_meanwhile_is_left_alone(engine: Engine) -> None:
    job = make.task(1, handler="x")
    await engine.tasks.insert([make.entry(job)])
    path = [job, tasks.start(job, make.NOW)]
    path.append(tasks.cancel(path[-1], make.NOW))
    path.append(tasks.retry(path[-1], make.NOW))
    path.append(tasks.start(path[-1], make.FAR))
    for before, after in pairwise(path):
        event = events.changed(before, after, "user:1")
        change = Change(task_id=before.id, expected_version=before.version, after=after, event=event)
        assert await engine.tasks.commit([change])
    orphan, again = path[1], path[-1]
    assert (orphan.status, orphan.attempts) == (again.status, again.attempts)
    assert await processing(engine, {}).reclaim([orphan]) == []
    assert (await current(engine, 1)).version == again.version


async def test_a_second_order_is_not_lost_when_the_first_ends_during_the_claim(engine: Engine) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def gated(payload: Any, _context: Context) -> Any:
        begun.set()
        await go.wait()
        return payload

    made = {"gated": Handler(name="gated", run=gated, timeout_s=60)}
    async with running(engine, made) as started, asyncio.timeout(20):
        first, second = make.task(1, handler="gated"), make.task(2, handler="gated")
        await submit(engine, first)
        await begun.wait()
        claim = started._processing.claim

        async def slow_claim(works: Any) -> Any:
            go.set()
            await until(lambda: _has_ended(started, 1))
            return await claim(works)

        started._processing.claim = slow_claim  # type: ignore[method-assign]
        await engine.tasks.insert([make.entry(second)])
        orders = [Record(events.TASK_INPUT, "k", events.encode(events.work(job, make.NOW))) for job in (first, second)]
        await engine.log.append(orders)
        await finished(engine, 2)
        assert await engine.log.settled(events.TASK_INPUT, "worker", 5), "every order is taken care of"


async def _has_ended(started: Worker, number: int) -> bool:
    return number not in started._running


async def test_a_finished_job_is_not_due(engine: Engine) -> None:
    async def fine(payload: Any, _context: Context) -> Any:
        return payload

    job = make.task(1, handler="good", due_at=make.FAR)
    await engine.tasks.insert([replace(make.entry(job), remind_at=make.FAR)])
    async with running(engine, {"good": Handler(name="good", run=fine)}):
        work = Record(events.TASK_INPUT, "1", events.encode(events.work(job, make.NOW)))
        await engine.log.append([work])
        await finished(engine, 1)
    assert await engine.tasks.alarms(make.FAR, 10) == []


async def test_a_thread_that_hangs_is_replaced_and_waiting_for_one_is_not_running(engine: Engine) -> None:
    release = threading.Event()

    def blocks(payload: Any, _context: Context) -> Any:
        if payload == "hang":
            release.wait(30)
        else:
            time.sleep(0.06)
        return payload

    made = {"blocks": Handler(name="blocks", run=blocks, timeout_s=0.1)}
    jobs = [make.task(n, handler="blocks", max_attempts=1, payload=Raw(b'"hang"')) for n in range(1, 6)]
    jobs += [make.task(n, handler="blocks", max_attempts=1, payload=Raw(b"1")) for n in range(6, 20)]
    async with running(engine, made, concurrency=50):
        await submit(engine, *jobs)
        ends = [(await finished(engine, number)).status for number in range(1, 20)]
    release.set()
    assert ends == [Status.FAILED] * 5 + [Status.DONE] * 14


async def test_a_blocked_handler_gives_way_to_others(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "WINDOW", 20)
    monkeypatch.setattr(process, "BATCH", 5)
    monkeypatch.setattr(process, "RELIEVE_S", 0.05)
    monkeypatch.setattr(process, "PATIENCE_S", 0.1)

    async def slow(_payload: Any, _context: Context) -> None:
        await asyncio.sleep(0.02)

    async def fine(payload: Any, _context: Context) -> Any:
        return payload

    made = {
        "slow": Handler(name="slow", run=slow, timeout_s=60, concurrency=1),
        "fine": Handler(name="fine", run=fine, timeout_s=60),
    }
    async with running(engine, made):
        await submit(engine, *(make.task(n, handler="slow") for n in range(1, 41)))
        await submit(engine, make.task(50, handler="fine"))
        assert (await finished(engine, 50)).status is Status.DONE
        put_off = await engine.tasks.alarms(make.FAR, 100)
        assert put_off
        assert all(task.status is Status.PENDING and must_wake for task, must_wake, _ in put_off)


async def test_an_outcome_is_stored_however_often_the_job_is_edited_meanwhile(engine: Engine) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def gated(_payload: Any, _context: Context) -> int:
        begun.set()
        await go.wait()
        return 42

    commit, edits = engine.tasks.commit, 0

    async def contended(changes: Any) -> Any:
        nonlocal edits
        finishing = any(change.after and change.after.status is Status.DONE for change in changes)
        if finishing and edits < 30:
            edits += 1
            before = await current(engine, 1)
            after = tasks.edit(before, {"title": f"Edit {edits}"}, make.NOW)
            event = events.changed(before, after, "user:1")
            edit = Change(task_id=before.id, expected_version=before.version, after=after, event=event)
            await commit([edit])
        return await commit(changes)

    engine.tasks.commit = contended  # type: ignore[method-assign]
    async with running(engine, {"gated": Handler(name="gated", run=gated, timeout_s=60)}), asyncio.timeout(20):
        await submit(engine, make.task(1, handler="gated"))
        await begun.wait()
        go.set()
        done = await finished(engine, 1)
    assert (done.title, done.status) == ("Edit 30", Status.DONE)


async def test_outcomes_of_jobs_that_concern_many_people_are_stored_in_parts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_TOLD", 8)
    jobs = [make.task(number, handler="echo", observer_ids=(UserId(7), UserId(8))) for number in range(1, 6)]
    await engine.tasks.insert([make.entry(job) for job in jobs])
    use_case = processing(engine, ECHO)
    attempts = await use_case.claim([events.work(job, make.NOW).data for job in jobs])
    sizes: list[int] = []
    commit = engine.tasks.commit

    async def counted(changes: Sequence[Change]) -> frozenset[TaskId]:
        sizes.append(len(changes))
        return await commit(changes)

    monkeypatch.setattr(engine.tasks, "commit", counted)
    await use_case.finish([Outcome(attempt.task, result=Raw(b"1")) for attempt in attempts])
    assert sizes == [2, 2, 1]
    assert [(await current(engine, job.id)).status for job in jobs] == [Status.DONE] * 5


async def test_a_handler_is_never_run_more_often_at_once_than_it_allows(engine: Engine) -> None:
    crowd = Crowd()
    made = {"counted": Handler(name="counted", run=crowd.attend, concurrency=2)}
    async with running(engine, made, concurrency=10):
        await submit(engine, *(make.task(n, handler="counted") for n in range(1, 21)))
        for number in range(1, 21):
            await finished(engine, number)
    assert crowd.most == 2


async def test_a_job_without_its_handler_fails_with_its_name(engine: Engine) -> None:
    async with running(engine, {}):
        await submit(engine, make.task(1, handler="gone", max_attempts=1))
        assert (await finished(engine, 1)).error == "There is no handler named 'gone'."


def let_in(room: WaitingRoom, position: int, handler: str = "h", creator: int = 1, priority: int = 0) -> None:
    """An order that is as old as its position says."""
    job = make.task(position + 1, handler=handler, creator_id=UserId(creator), priority=priority)
    room.add(Stored(position, "", b""), events.work(job, make.NOW).data, float(position))


def places(count: int = 100, threads: int = 100, **concurrency: int) -> Places:
    """Handlers allow a hundred at once, or what is said by name; those whose name begins with `plain` need threads."""
    return Places(count, threads, lambda name: Demand(concurrency.get(name, 100), in_thread=name.startswith("plain")))


def counted(begun: Sequence[Waiting]) -> dict[int, int]:
    return dict(Counter(int(one.work.creator_id or 0) for one in begun))


async def test_urgent_jobs_overtake_and_patient_ones_are_not_starved() -> None:
    room = WaitingRoom(100)
    arrivals = [(0, 0.0), (5, 1.0), (9, 2.0), (9, 95.0), (0, 96.0)]
    for position, (priority, at_s) in enumerate(arrivals):
        work = events.work(make.task(position + 1, handler="h", priority=priority), make.NOW).data
        room.add(Stored(position, "", b""), work, at_s)
    order = [one.position for one in room.take(10, places())]
    assert order == [2, 1, 0, 3, 4], "9 before 5 before 0; a 0 that waited 95 s before a new 9"
    assert len(room) == 0


async def test_a_handler_at_its_limit_holds_up_nobody_else() -> None:
    room = WaitingRoom(3)
    for position, name in enumerate(["full", "full", "free"]):
        let_in(room, position, name)
    assert room.room == 0
    assert [one.position for one in room.take(10, places(full=0))] == [2]
    assert [one.position for one in room.take(1, places())] == [0]
    assert room.room == 2


async def test_one_creator_never_takes_all_places_for_long() -> None:
    room, many = WaitingRoom(200), places(64)
    for position, creator in enumerate([1] * 100 + [2] * 20 + [3, 3]):
        let_in(room, position, creator=creator)
    assert (counted(room.take(64, many)), many.free) == ({1: 55, 2: 7, 3: 1}, 1)
    assert room.take(64, many) == [], "the last one is for who has none"
    let_in(room, 122, creator=4)
    assert counted(room.take(64, many)) == {4: 1}
    for _ in range(8):
        many.give_back(Lane("h", UserId(1)))
    assert (counted(room.take(64, many)), many.free) == ({2: 5, 3: 1}, 2)


async def test_the_last_places_are_for_those_who_have_none() -> None:
    room, many = WaitingRoom(10_000), places(256, h=1_000)
    for position in range(4_000):
        let_in(room, position, creator=1 + position // 400)
    begun = counted(room.take(256, many))
    assert sorted(begun) == list(range(1, 11)), "ten creators, and all of them have some"
    assert (begun[1], begun[2], many.free) == (217, 28, 1)


async def test_plain_handlers_share_the_threads_that_there_are() -> None:
    room, few = WaitingRoom(200), places(100, threads=32)
    for position in range(80):
        let_in(room, position, f"plain{position % 2}")
    for position in range(80, 84):
        let_in(room, position, "plain0", creator=2)
    let_in(room, 84, "h")
    begun = room.take(100, few)
    assert Counter(one.work.handler for one in begun if one.work.creator_id == 1) == {
        "plain0": 14,
        "plain1": 14,
        "h": 1,
    }
    assert counted(begun)[2] == 3
    let_in(room, 85, "plain2", creator=3)
    assert counted(room.take(100, few)) == {3: 1}


async def test_who_may_not_go_on_is_not_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def allow(self: Places, lane: Lane) -> bool:
        nonlocal asked
        asked += 1
        return allows(self, lane)

    allows = Places.allow
    monkeypatch.setattr(Places, "allow", allow)
    room, few = WaitingRoom(5_000), places(100, full=1)
    for position in range(2_000):
        let_in(room, position, "full", creator=position)
    for position in range(2_000, 4_000):
        let_in(room, position, "h", creator=position)
    assert len(room.take(0, few)) == 0
    assert len(room.take(10, few)) == 10
    assert len(room.take(few.free, few)) == 90
    assert len(room.take(10, few)) == 0
    assert asked < 300


orders = st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(0, 9))


@given(st.lists(st.one_of(orders, st.integers(0, 12), st.just("end"), st.just("evict")), max_size=80))
def test_the_next_one_is_always_the_most_urgent_that_may_begin(steps: list[tuple[str, int, int] | int | str]) -> None:
    room, actual, expected = WaitingRoom(1_000), places(14, a=3, b=9), places(14, a=3, b=9)
    waiting: list[tuple[float, int, Lane]] = []
    running: list[Lane] = []
    for position, step in enumerate(steps):
        if isinstance(step, tuple):
            handler, creator, priority = step
            let_in(room, position, handler, creator, priority)
            waiting.append((position - priority * STEP_S, position, Lane(handler, UserId(creator))))
        elif isinstance(step, int):
            wanted: list[int] = []
            while len(wanted) < step and (able := [one for one in waiting if expected.allow(one[2])]):
                first = min(able)
                waiting.remove(first)
                expected.take(first[2])
                wanted.append(first[1])
                running.append(first[2])
            assert [one.position for one in room.take(step, actual)] == wanted
        elif step == "end" and running:
            lane = running.pop(0)
            actual.give_back(lane)
            expected.give_back(lane)
        elif step == "evict":
            gone = {one.position for one in room.evict_oldest()}
            waiting = [one for one in waiting if one[1] not in gone]
        assert len(room) == len(waiting)


async def test_what_is_put_off_is_taken_from_those_who_have_most_waiting() -> None:
    room = WaitingRoom(20)
    for position, creator in enumerate([1] * 10 + [2] * 4 + [3] * 2):
        let_in(room, position, creator=creator)
    let_in(room, 16, "other")
    assert room.longest() == ("h", 16)
    assert sorted(one.position for one in room.evict_newest()) == [3, 4, 5, 6, 7, 8, 9, 13]
    assert [one.position for one in room.take(20, places())] == [0, 1, 2, 10, 11, 12, 14, 15, 16]


async def test_jobs_of_plain_handlers_do_not_begin_before_there_is_a_thread(engine: Engine) -> None:
    go_on = threading.Event()

    def wait(_payload: Any, _context: Context) -> None:
        go_on.wait(20)

    made = {name: Handler(name=name, run=wait, timeout_s=60) for name in ("one", "other")}
    async with running(engine, made, concurrency=100):
        try:
            await submit(engine, *(make.task(n, handler=("one", "other")[n % 2]) for n in range(1, 9)))
            await until(lambda: status_is(engine, 4, Status.IN_PROGRESS))
            await asyncio.sleep(0.1)
            begun = [(await current(engine, n)).status is Status.IN_PROGRESS for n in range(1, 9)]
            assert sum(begun) == 4, "as many as there are threads"
        finally:
            go_on.set()
        for number in range(1, 9):
            assert (await finished(engine, number)).status is Status.DONE


async def test_an_order_for_the_handler_that_a_job_had_is_dropped(engine: Engine) -> None:
    job = make.task(1, handler="before")
    await engine.tasks.insert([make.entry(job)])
    stored = await current(engine, 1)
    edited = replace(stored, handler="echo", version=stored.version + 1)
    await engine.tasks.commit([Change(task_id=job.id, expected_version=stored.version, after=edited)])
    made = processing(engine, ECHO)
    assert await made.claim([events.work(job, make.NOW).data]) == []
    assert [one.task.handler for one in await made.claim([events.work(edited, make.NOW).data])] == ["echo"]


async def test_of_two_orders_for_an_edited_job_the_later_one_gives_it_its_place(engine: Engine) -> None:
    crowd = Crowd()
    made = ECHO | {"alone": Handler(name="alone", run=crowd.attend, concurrency=1)}
    for number in range(1, 7):
        job = make.task(number, handler="echo")
        await submit(engine, job)
        edited = replace(await current(engine, number), handler="alone", version=job.version + 1)
        await engine.tasks.commit([Change(task_id=job.id, expected_version=job.version, after=edited)])
        order = events.encode(events.work(edited, make.NOW))
        await engine.log.append([Record(events.TASK_INPUT, str(number), order)])
    async with running(engine, made, concurrency=50):
        for number in range(1, 7):
            assert (await finished(engine, number)).status is Status.DONE
    assert crowd.most == 1


async def test_a_cancellation_that_comes_after_the_end_means_no_later_attempt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0
    go_on, is_over = asyncio.Event(), asyncio.Event()
    finish = Processing.finish

    async def slow_finish(made: Processing, outcomes: Sequence[Outcome]) -> None:
        is_over.set()
        await go_on.wait()
        await finish(made, outcomes)

    async def gives_up(_payload: Any, _context: Context) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            own = asyncio.current_task()
            assert own
            own.cancel()
            await asyncio.sleep(0)

    async def change(change_of: Callable[[Task, Timestamp], Task]) -> Task:
        before = await current(engine, 1)
        after = change_of(before, make.NOW)
        await engine.tasks.commit([Change(task_id=before.id, expected_version=before.version, after=after)])
        return after

    monkeypatch.setattr(Processing, "finish", slow_finish)
    async with running(engine, handlers(gives_up=gives_up)) as started:
        await submit(engine, make.task(1, handler="gives_up", max_attempts=1))
        await is_over.wait()
        await change(tasks.cancel)
        await engine.push.publish([Message("jobs:cancelled", b"1")])
        await asyncio.sleep(0.1)  # time to hear of it
        go_on.set()
        await until(lambda: _has_ended(started, 1))
        again = await change(tasks.retry)
        await engine.log.append([Record(events.TASK_INPUT, "1", events.encode(events.work(again, make.NOW)))])
        assert (await finished(engine, 1)).error == "CancelledError: the handler cancelled itself"


async def test_jobs_of_one_member_that_take_long_leave_places_to_the_others(engine: Engine) -> None:
    made = ECHO | handlers(hangs=hangs)
    made["hangs"] = replace(made["hangs"], timeout_s=60, concurrency=100)
    async with running(engine, made, concurrency=8):
        await submit(engine, *(make.task(n, handler="hangs", creator_id=UserId(1)) for n in range(1, 21)))
        await until(lambda: status_is(engine, 7, Status.IN_PROGRESS))
        await submit(engine, *(make.task(n, handler="echo", creator_id=UserId(2)) for n in range(21, 31)))
        for number in range(21, 31):
            assert (await finished(engine, number)).status is Status.DONE
        assert (await current(engine, 8)).status is Status.PENDING


async def test_long_jobs_of_one_member_leave_places_of_their_handler(engine: Engine) -> None:
    async def work(payload: Any, _context: Context) -> None:
        await asyncio.sleep(60 if payload else 0)

    made = {"work": Handler(name="work", run=work, concurrency=8)}
    async with running(engine, made, concurrency=100):
        long = [make.task(n, handler="work", creator_id=UserId(1), payload=Raw(b"1")) for n in range(1, 21)]
        await submit(engine, *long)
        await until(lambda: status_is(engine, 7, Status.IN_PROGRESS))
        await submit(engine, make.task(21, handler="work", creator_id=UserId(2), payload=Raw(b"0")))
        assert (await finished(engine, 21)).status is Status.DONE
        assert (await current(engine, 8)).status is Status.PENDING


async def status_is(engine: Engine, number: int, status: Status) -> bool:
    return (await current(engine, number)).status is status


async def test_the_oldest_orders_can_be_given_back() -> None:
    room = WaitingRoom(10)
    for position in range(5):
        work = events.work(make.task(position + 1, handler="h", priority=position), make.NOW).data
        room.add(Stored(position, "", b""), work, float(position))
    assert [one.position for one in room.evict_oldest()] == [0, 1, 2]
    assert [one.position for one in room.take(10, places())] == [4, 3]
    assert len(room) == 0


def test_a_record_that_is_read_again_before_it_is_behind_us_counts_once() -> None:
    watermark = Watermark()
    assert [watermark.begin(position) for position in (1, 7, 7, 9)] == [True, True, False, True]
    for position in (7, 7, 9, 1):
        watermark.done(position)
    assert (watermark.position, len(watermark)) == (9, 0)
    assert watermark.begin(7)


async def test_a_claim_that_was_not_told_of_its_success_finds_what_it_began(engine: Engine) -> None:
    job = make.task(1, handler="echo")
    await engine.tasks.insert([make.entry(job)])
    working = processing(engine, ECHO)
    work = events.work(job, make.NOW).data
    commit = engine.tasks.commit

    async def not_told(changes: Any) -> Any:
        await commit(changes)
        raise Unavailable("store", "the answer was lost")

    working._store.commit = not_told  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await working.claim([work])
    working._store.commit = commit  # type: ignore[method-assign]
    [attempt] = await working.claim([work])
    assert (attempt.task.id, attempt.task.attempts) == (1, 1)
    assert await processing(engine, ECHO).claim([work]) == [], "nobody else takes it"
    assert await working.claim([work]) == [], "nor we again"


@pytest.mark.parametrize("how", ["claim", "reclaim"])
async def test_what_began_is_found_again_when_the_second_look_fails(engine: Engine, how: str) -> None:
    jobs = [make.task(number, handler="echo") for number in (1, 2)]
    await engine.tasks.insert([make.entry(job) for job in jobs])
    working = processing(engine, ECHO)
    if how == "reclaim":
        jobs = [attempt.task for attempt in await processing(engine, ECHO).claim(_works(jobs))]
    get, commit = engine.tasks.get, engine.tasks.commit

    async def edited_meanwhile(changes: Any) -> Any:
        before = await current(engine, 2)
        after = replace(before, title="edited", version=before.version + 1)
        event = events.changed(before, after, "user:1")
        await commit([Change(task_id=before.id, expected_version=before.version, after=after, event=event)])
        working._store.get = away  # type: ignore[assignment, method-assign]
        return await commit(changes)

    async def away(_ids: Any) -> Any:
        raise Unavailable("store", "it is away for a moment")

    async def call() -> list[Attempt]:
        return await (working.claim(_works(jobs)) if how == "claim" else working.reclaim(jobs))

    working._store.commit = edited_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await call()
    working._store.commit, working._store.get = commit, get  # type: ignore[method-assign]
    assert {attempt.task.id for attempt in await call()} == {1, 2}


def _works(jobs: Sequence[Task]) -> list[events.Work]:
    return [events.work(job, make.NOW).data for job in jobs]

"""The laws that hold for every pipeline."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support import make
from support.engines import LASTING, Engine, open_engine
from support.pipelines import CASES, HEARD, WATCHING, Case, loop
from support.waiting import until
from tasktide.domain import events
from tasktide.domain.errors import Unavailable
from tasktide.domain.events import NOTIFICATION_EVENTS
from tasktide.pipelines import consumer
from tasktide.pipelines.consumer import Consumer
from tasktide.pipelines.loop import Pipeline
from tasktide.pipelines.process import Worker
from tasktide.ports.log import Record

NUMBERS = list(range(1, 11))


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    WATCHING.clear()
    HEARD.clear()
    monkeypatch.setattr(consumer, "BACKOFF_S", (0.001,))
    monkeypatch.setattr(consumer, "WAIT_S", 0.01)


async def feed(engine: Engine, case: Case, numbers: list[int]) -> None:
    for number in numbers:
        await engine.log.append([await case.feed(engine, number)])


async def run_until_done(engine: Engine, case: Case, pipeline: Consumer, numbers: list[int]) -> None:
    task = pipeline.start()

    async def is_done() -> bool:
        assert not task.done(), task.exception()
        return await case.done(engine) == numbers and await engine.log.backlog(case.topic, case.name) == 0

    await until(is_done)
    await pipeline.stop()


def is_stalled(pipeline: Consumer) -> bool:
    return pipeline.stalled


async def test_everything_is_handled_and_committed(engine: Engine, case: Case) -> None:
    await feed(engine, case, NUMBERS)
    await run_until_done(engine, case, case.build(engine), NUMBERS)


async def test_a_log_that_takes_no_commits_holds_its_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[Any] = []
    may_commit = asyncio.Event()

    async def handle(some: Sequence[Any]) -> None:
        handled.extend(some)

    async with open_engine("sqlite-file", tmp_path) as engine:
        [ingest] = [one for one in CASES if one.name == "ingest"]
        await feed(engine, ingest, NUMBERS)
        pipeline = loop(engine, "ingest", ingest.topic, handle, batch=1)
        commit = pipeline.reader.commit

        async def refused_at_first(position: int) -> None:
            if not may_commit.is_set():
                raise Unavailable("log", "It takes no commits.")
            await commit(position)

        monkeypatch.setattr(pipeline.reader, "commit", refused_at_first)
        task = pipeline.start()

        async def is_held() -> bool:
            return len(handled) > 0 and pipeline.stalled

        async def is_done() -> bool:
            return len(handled) == len(NUMBERS) and await engine.log.backlog(ingest.topic, "ingest") == 0

        await until(is_held)
        await asyncio.sleep(0.1)
        assert len(handled) <= 3, "a crash would repeat all that it ran ahead"
        may_commit.set()
        await until(is_done)
        await pipeline.stop()
        assert task.done()


async def test_what_comes_later_is_handled_too(engine: Engine, case: Case) -> None:
    pipeline = case.build(engine)
    task = pipeline.start()
    await feed(engine, case, NUMBERS)
    await run_until_done(engine, case, pipeline, NUMBERS)
    assert task.done()


async def test_reading_everything_twice_has_one_effect(engine: Engine, case: Case) -> None:
    records = [await case.feed(engine, number) for number in NUMBERS]
    await engine.log.append([*records, *records])
    await run_until_done(engine, case, case.build(engine), NUMBERS)


@pytest.mark.parametrize(
    "poison", [b"", b"\xff\x00 not JSON", b"[]", b'{"type":"task.unknown"}', b'{"specversion":"2.0"}']
)
async def test_poison_is_parked_and_its_neighbours_go_through(engine: Engine, case: Case, poison: bytes) -> None:
    await feed(engine, case, NUMBERS[:5])
    await engine.log.append([Record(case.topic, "poison", poison)])
    await feed(engine, case, NUMBERS[5:])
    await run_until_done(engine, case, case.build(engine), NUMBERS)
    [letter] = await engine.letters.find(0, 10)
    assert (letter.topic, letter.pipeline, letter.value) == (case.topic, case.name, poison)
    assert letter.reason


async def test_a_record_that_is_refused_even_alone_is_parked_and_its_neighbours_go_through(
    engine: Engine, case: Case
) -> None:
    await feed(engine, case, NUMBERS)
    pipeline = case.build(engine)
    poison = b'"7"' if case.topic != NOTIFICATION_EVENTS else b'"e.7"'
    refuse(pipeline, lambda event: poison in _names(event))
    await run_until_done(engine, case, pipeline, [number for number in NUMBERS if number != 7])
    [letter] = await engine.letters.find(0, 10)
    assert (letter.pipeline, letter.reason) == (case.name, "ValueError: not this one")
    assert events.decode(case.topic, letter.value) is not None


def _names(event: Any) -> bytes:
    """The number of the thing that an event of any topic is about, as JSON."""
    data = getattr(event, "data", event)
    about = [getattr(data, "task", None), getattr(data, "notification", None), data]
    numbers = [getattr(one, name, None) for one in about for name in ("task_id", "id")]
    number = next((one for one in numbers if one is not None), None)
    return msgspec.json.encode([str(number), getattr(data, "event_id", "")])


def refuse(pipeline: Consumer, is_bad: Callable[[Any], bool]) -> None:
    """Make the pipeline's use case refuse every batch that holds a certain event."""

    def guarded(handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def refusing(batch: Any) -> Any:
            if any(is_bad(event) for event in batch):
                raise ValueError("not this one")
            return await handle(batch)

        return refusing

    if isinstance(pipeline, Worker):
        pipeline._processing.claim = guarded(pipeline._processing.claim)  # type: ignore[assignment, method-assign]
    elif isinstance(pipeline, Pipeline):
        pipeline._handle = guarded(pipeline._handle)


async def test_an_engine_that_is_away_is_waited_for(engine: Engine, case: Case) -> None:
    await feed(engine, case, NUMBERS)
    pipeline = case.build(engine)
    away = asyncio.Event()
    away.set()
    refused = 0

    async def flaky() -> None:
        nonlocal refused
        if away.is_set():
            refused += 1
            raise Unavailable("store", "away")

    engine.interposed.before = flaky
    task = pipeline.start()

    async def has_tried() -> bool:
        return refused > 3

    await until(has_tried)
    assert is_stalled(pipeline)
    assert not task.done()
    away.clear()
    await run_until_done(engine, case, pipeline, NUMBERS)
    assert not is_stalled(pipeline)
    assert await engine.letters.find(0, 10) == []


# What is cut off in the middle of opening a connection is cleaned up by nobody.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("writes", range(1, 9))
@pytest.mark.parametrize("name", LASTING)
async def test_a_crash_anywhere_loses_nothing_and_doubles_nothing(
    tmp_path: Path, name: str, case: Case, writes: int
) -> None:
    async with open_engine(name, tmp_path) as engine:
        await feed(engine, case, NUMBERS)
        pipeline = case.build(engine)
        crashed = asyncio.Event()
        count = 0

        async def counting() -> None:
            nonlocal count
            count += 1
            if count > writes:
                crashed.set()
                await asyncio.Event().wait()

        engine.interposed.before = counting
        task = pipeline.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await crashed.wait()
        everything = asyncio.all_tasks() - {asyncio.current_task()}
        for one in everything:
            one.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        assert task.done()
        engine.interposed.before = None
    gc.collect()
    async with open_engine(name, tmp_path, again=True) as engine:
        await run_until_done(engine, case, case.build(engine), NUMBERS)


async def test_stopping_waits_and_is_fine_twice_or_before_the_start(engine: Engine, case: Case) -> None:
    await case.build(engine).stop()
    pipeline = case.build(engine)
    await feed(engine, case, NUMBERS)
    task = pipeline.start()
    await pipeline.stop()
    await pipeline.stop()
    assert task.done()
    assert task.exception() is None
    before = await case.done(engine)
    await run_until_done(engine, case, case.build(engine), NUMBERS)
    assert set(before) <= set(NUMBERS)


async def test_stopping_while_the_engine_is_away_ends_at_once(engine: Engine, case: Case) -> None:
    await feed(engine, case, NUMBERS)
    pipeline = case.build(engine)

    async def away() -> None:
        raise Unavailable("store", "away")

    engine.interposed.before = away
    task = pipeline.start()
    await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        await pipeline.stop()
    engine.interposed.before = None
    assert task.done()
    await run_until_done(engine, case, case.build(engine), NUMBERS)


async def test_what_is_not_urgent_is_done_in_few_batches(engine: Engine) -> None:
    sizes: list[int] = []

    async def handle(some: Sequence[Any]) -> None:
        sizes.append(len(some))

    pipeline = loop(engine, "feed", events.TASK_EVENTS, handle, batch=100, rest_s=0.2)
    running = pipeline.start()
    made = [make.created(make.task(number)) for number in range(1, 21)]
    for event in made:
        await engine.log.append([Record.of(events.TASK_EVENTS, str(event.data.task.id), event)])
        await asyncio.sleep(0.002)
    assert await engine.log.settled(events.TASK_EVENTS, "feed", 20)
    assert sum(sizes) == len(made)
    assert len(sizes) < len(made) / 2
    await pipeline.stop()
    await running

"""A batch of submissions is stored in the transaction that accepts it; what is no such batch goes on the log."""

import asyncio
from collections.abc import Sequence

import pytest

from support import make
from support.engines import Engine
from tasktide.adapters.prometheus.metrics import PrometheusMetrics
from tasktide.domain import events
from tasktide.domain.errors import Unavailable
from tasktide.domain.fields import NewTask, TaskLimits
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.paging import TaskQuery
from tasktide.domain.replies import Reserved
from tasktide.ports.cache import task_key
from tasktide.ports.intake import StoreIntake, Submission
from tasktide.ports.references import References
from tasktide.ports.tasks import Entry
from tasktide.usecases.submissions import Submissions


def intake(engine: Engine) -> StoreIntake:
    return StoreIntake(store=engine.tasks, log=engine.log, clock=engine.clock, metrics=PrometheusMetrics())


def desk(engine: Engine) -> Submissions:
    return Submissions(
        store=engine.tasks,
        references=References(engine.users, frozenset({"reverse"})),
        log=engine.log,
        intake=intake(engine),
        cache=engine.cache,
        ids=engine.ids,
        clock=engine.clock,
        limits=TaskLimits(),
        backlog_limit=1_000,
    )


def batch(*numbers: int, **values: object) -> list[Submission]:
    return [Submission(make.task(number, **values), "user:1") for number in numbers]


async def logged(engine: Engine, topic: str) -> list[str]:
    """The ids of the events of a topic, sorted: shards have no order among each other."""
    await engine.settle()
    reader = engine.log.reader(topic, "others")
    found: list[str] = []
    while some := await reader.read(1_000, 0.05):
        found += [(one.event or events.decode(topic, one.value)).id for one in some]
    return sorted(found)


async def stored(engine: Engine) -> list[int]:
    return sorted(task.id for task in await engine.tasks.find(TaskQuery(limit=1_000)))


async def test_a_batch_is_stored_with_its_events_when_it_is_accepted(engine: Engine) -> None:
    await intake(engine).begin(batch(1, 2, performer_id=UserId(2)))
    assert await stored(engine) == [1, 2]
    assert await logged(engine, events.TASK_EVENTS) == ["1.1", "2.1"]
    assert await logged(engine, events.NOTIFICATION_EVENTS) == ["1.1@2", "2.1@2"]
    assert await logged(engine, events.TASK_INGESTED) == []


async def test_a_batch_of_jobs_is_ordered_from_the_workers(engine: Engine) -> None:
    await intake(engine).begin(batch(1, 2, handler="reverse"))
    assert await logged(engine, events.TASK_INPUT) == ["1.run.1", "2.run.1"]


async def test_one_alone_and_what_concerns_too_many_goes_on_the_log(engine: Engine) -> None:
    crowd = tuple(UserId(number) for number in range(10, 110))
    there = intake(engine)
    await there.begin(batch(1))
    await there.begin(batch(*range(2, 60), observer_ids=crowd))
    assert await stored(engine) == []
    assert await logged(engine, events.TASK_INGESTED) == sorted(f"{number}.0" for number in range(1, 60))


async def test_those_that_come_while_one_is_stored_share_the_next_transaction(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, sizes = engine.tasks.insert, []

    async def counted(entries: Sequence[Entry]) -> None:
        sizes.append(len(entries))
        await insert(entries)

    monkeypatch.setattr(engine.tasks, "insert", counted)
    there = intake(engine)
    first = there.begin(batch(1, 2))
    await asyncio.sleep(0)
    await asyncio.gather(first, *(there.begin(batch(number, number + 1)) for number in range(3, 43, 2)))
    assert sizes == [2, 40]
    assert await stored(engine) == list(range(1, 43))


async def test_one_that_comes_just_as_the_last_one_is_stored_is_stored_too(engine: Engine) -> None:
    there = intake(engine)
    woken: list[asyncio.Future[None]] = []
    first = there.begin(batch(1, 2))
    [writer] = [task for task in asyncio.all_tasks() if task.get_name() == "intake"]
    [accepted] = there._under_way
    # Called behind the writer's last look for more, and before anybody knows that its task is over.
    accepted.add_done_callback(lambda _: woken.append(there.begin(batch(3, 4))))
    await first
    await asyncio.wait([writer])
    async with asyncio.timeout(5):
        for one in woken:
            await one
    assert await stored(engine) == [1, 2, 3, 4]


async def test_what_the_store_refuses_goes_on_the_log_and_takes_nobody_along(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refusing(_entries: Sequence[Entry]) -> None:
        raise ValueError("one of them is wrong")

    monkeypatch.setattr(engine.tasks, "insert", refusing)
    there = intake(engine)
    await asyncio.gather(there.begin(batch(1, 2)), there.begin(batch(3, 4)))
    assert await logged(engine, events.TASK_INGESTED) == ["1.0", "2.0", "3.0", "4.0"]


async def test_a_batch_that_the_store_cannot_take_is_not_accepted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = engine.tasks.insert

    async def away(_entries: Sequence[Entry]) -> None:
        raise Unavailable("store", "It is away.")

    monkeypatch.setattr(engine.tasks, "insert", away)
    there = desk(engine)
    drafts = [NewTask(title=f"t{number}") for number in range(3)]
    ended = await asyncio.gather(*(there.submit_many(make.ADMIN, drafts) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in ended)
    last = (await engine.ids.take("tasks", 1))[0]
    assert not await engine.cache.get([task_key(TaskId(number)) for number in range(1, last)])
    monkeypatch.setattr(engine.tasks, "insert", insert)
    assert len(await there.submit_many(make.ADMIN, drafts)) == 3
    assert await logged(engine, events.TASK_INGESTED) == []


async def test_who_stops_waiting_stops_nobody_else(engine: Engine) -> None:
    there = intake(engine)
    gone, stays = there.begin(batch(1, 2)), there.begin(batch(3, 4))
    gone.cancel()
    await stays
    assert await stored(engine) == [1, 2, 3, 4]


async def test_a_batch_that_is_submitted_again_is_the_one_that_was_stored(engine: Engine) -> None:
    there = desk(engine)
    drafts = [NewTask(title=f"t{number}") for number in range(3)]
    first_id = await there.reserve(3)
    made = await there.submit_many(make.ADMIN, drafts, reserved=Reserved(first_id, is_resumed=False))
    again = await there.submit_many(make.ADMIN, drafts, reserved=Reserved(first_id, is_resumed=True))
    assert again == made
    assert await stored(engine) == [task.id for task in made]


async def test_a_repetition_waits_for_what_its_first_try_has_begun(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, may_go_on = engine.tasks.insert, asyncio.Event()
    tried: list[int] = []

    async def slow(entries: Sequence[Entry]) -> None:
        tried.append(len(entries))
        await may_go_on.wait()
        await insert(entries)

    monkeypatch.setattr(engine.tasks, "insert", slow)
    there = desk(engine)
    drafts = [NewTask(title=f"t{number}") for number in range(3)]
    first_id = await there.reserve(3)
    first = asyncio.create_task(there.submit_many(make.ADMIN, drafts, reserved=Reserved(first_id)))
    while not tried:
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    again = asyncio.create_task(there.submit_many(make.ADMIN, drafts, reserved=Reserved(first_id, is_resumed=True)))
    await asyncio.sleep(0)
    may_go_on.set()
    assert [task.id for task in await again] == [first_id, first_id + 1, first_id + 2]
    assert tried == [3], "it is not stored a second time, at another time"


async def test_more_than_may_wait_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktide.ports.intake.WAITING", 4)
    there = intake(engine)
    begun = [there.begin(batch(number, number + 1)) for number in (1, 3)]
    with pytest.raises(Unavailable):
        there.begin(batch(5, 6))
    await asyncio.gather(*begun)
    assert await stored(engine) == [1, 2, 3, 4]

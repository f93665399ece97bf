"""Submissions that are begun without being waited for are what submissions are."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from support import make
from support.engines import Engine
from tasktide.domain import events
from tasktide.domain.errors import Invalid, Unavailable
from tasktide.domain.fields import NewTask, TaskLimits
from tasktide.domain.ids import TaskId
from tasktide.domain.tasks import Task
from tasktide.ports.cache import task_key
from tasktide.ports.intake import LogIntake
from tasktide.ports.log import Record
from tasktide.ports.references import References
from tasktide.usecases.submissions import WAYS, Submissions

Heard = asyncio.Queue[Task | BaseException]


def submissions(engine: Engine, log: Any = None, backlog_limit: int = 1_000) -> Submissions:
    return Submissions(
        store=engine.tasks,
        references=References(engine.users, frozenset({"reverse"})),
        log=engine.log,
        intake=LogIntake(log or engine.log),
        cache=engine.cache,
        ids=engine.ids,
        clock=engine.clock,
        limits=TaskLimits(),
        backlog_limit=backlog_limit,
    )


async def known(engine: Engine, desk: Submissions) -> None:
    """Let the desk come to know what it needs to begin at once."""
    await engine.users.add(make.account(1))
    for topic, group in WAYS:
        await engine.log.reader(topic, group).read(1, 0)
    await desk.submit(make.ADMIN, NewTask(title="the first", performer_id=1))


async def test_what_is_begun_is_durable_and_readable_when_it_is_told(engine: Engine) -> None:
    desk = submissions(engine)
    await known(engine, desk)
    heard: Heard = asyncio.Queue()
    for number in range(3):
        ready = desk.at_hand(make.ADMIN, NewTask(title=f"t{number}", performer_id=1))
        assert ready is not None
        desk.begin(make.ADMIN, ready, "trace", heard.put_nowait)
    assert heard.empty()
    async with asyncio.timeout(10):
        told = [await heard.get() for _ in range(3)]
    tasks = [one for one in told if isinstance(one, Task)]
    assert [task.title for task in tasks] == ["t0", "t1", "t2"]
    ids = [task.id for task in tasks]
    assert ids == sorted(set(ids))
    assert len(await engine.cache.get([task_key(task_id) for task_id in ids])) == 3
    assert desk.accepted == 4
    reader = engine.log.reader(events.TASK_INGESTED, "others")
    stored = [events.decode(events.TASK_INGESTED, one.value) for one in await reader.read(10, 1)]
    assert [one.data.title for one in stored] == ["the first", "t0", "t1", "t2"]
    assert stored[-1].traceparent == "trace"


class Failing:
    """A log that takes nothing any more, once it `fails`."""

    def __init__(self, engine: Engine) -> None:
        self._log = engine.log
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def begin(self, records: Sequence[Record]) -> "asyncio.Future[None]":
        if not self.fails:
            return self._log.begin(records)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.get_loop().call_later(0.01, future.set_exception, Unavailable("log", "It is away."))
        return future


async def test_what_is_wrong_is_said_at_once_even_while_the_log_takes_nothing(engine: Engine) -> None:
    desk = submissions(engine, backlog_limit=2)
    right, wrong = NewTask(title="right"), NewTask(title="", performer_id=7)
    await desk.submit_many(make.ADMIN, [right] * 3)
    with pytest.raises(Unavailable):
        await desk.submit(make.ADMIN, right)
    with pytest.raises(Invalid) as one:
        await desk.submit(make.ADMIN, wrong)
    with pytest.raises(Invalid) as many:
        await desk.submit_many(make.ADMIN, [right, wrong])
    assert [error.field for error in one.value.errors] == ["title"]
    assert [error.field for error in many.value.errors] == ["[1].title"]


async def test_what_the_log_did_not_take_is_told_and_forgotten(engine: Engine) -> None:
    log = Failing(engine)
    desk = submissions(engine, log, backlog_limit=100)
    await known(engine, desk)
    log.fails = True
    heard: Heard = asyncio.Queue()
    for _ in range(150):  # more than may be under way: those that failed must not count
        while (ready := desk.at_hand(make.ADMIN, NewTask(title="lost"))) is None:
            await engine.ids.take("tasks", 1)  # leases some
        desk.begin(make.ADMIN, ready, None, heard.put_nowait)
        async with asyncio.timeout(10):
            assert isinstance(await heard.get(), Unavailable)
    last = (await engine.ids.take("tasks", 1))[0]
    assert last > 150
    assert len(await engine.cache.get([task_key(TaskId(number)) for number in range(1, last)])) == 1
    assert desk.accepted == 1


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param(NewTask(title=""), id="wrong"),
        pytest.param(NewTask(title="x", performer_id=7), id="somebody unknown"),
        pytest.param(NewTask(title="x", handler="none", payload=msgspec.Raw(b"1")), id="no such handler"),
        pytest.param(NewTask(title="x", creator_id=5), id="not allowed"),
    ],
)
async def test_what_is_wrong_or_unknown_is_not_begun(engine: Engine, draft: NewTask) -> None:
    desk = submissions(engine)
    await known(engine, desk)
    assert desk.at_hand(make.BOB, draft) is None


async def test_nothing_is_begun_while_the_store_is_behind_or_no_id_is_at_hand(engine: Engine) -> None:
    desk = submissions(engine, backlog_limit=100)
    assert desk.at_hand(make.ADMIN, NewTask(title="x")) is None  # nobody knows how far it is behind
    await known(engine, desk)
    while engine.ids.has("tasks"):
        assert desk.at_hand(make.ADMIN, NewTask(title="x")) is not None  # asking takes none
        engine.ids.take_now("tasks")
    assert desk.at_hand(make.ADMIN, NewTask(title="x")) is None
    await engine.ids.take("tasks", 1)
    assert desk.at_hand(make.ADMIN, NewTask(title="x")) is not None
    await desk.submit_many(make.ADMIN, [NewTask(title="many") for _ in range(101)])
    await engine.ids.take("tasks", 1)
    assert engine.ids.has("tasks")
    assert desk.at_hand(make.ADMIN, NewTask(title="x")) is None

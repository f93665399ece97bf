"""More than the pipelines can take is refused, and taken again once there is room."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from support import make
from support.engines import Engine
from support.pipelines import BACKLOG_LIMIT, CASES, notifications
from tasktide.domain import events
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import UserId
from tasktide.ports import tasks as store
from tasktide.ports.backpressure import Backpressure
from tasktide.ports.log import Stored
from tasktide.ports.tasks import Entry
from tasktide.usecases.ingest import Ingest
from tasktide.usecases.notifications import DirectMessage

[INBOX] = [case for case in CASES if case.name == "inbox"]


async def test_notifications_beyond_the_backlog_are_refused_until_it_is_stored(engine: Engine) -> None:
    await engine.users.add(make.account(1))
    desk = notifications(engine)
    hello = DirectMessage(user_ids=[1], message="hello")
    accepted = await desk.send_many(make.ADMIN, [hello] * (BACKLOG_LIMIT + 1))
    with pytest.raises(Unavailable):
        await desk.send(make.ADMIN, hello)
    with pytest.raises(Unavailable):
        await desk.send_many(make.ADMIN, [hello])
    pipeline = INBOX.build(engine)
    running = pipeline.start()
    assert await engine.log.settled(INBOX.topic, INBOX.name, 20)
    assert await desk.send(make.ADMIN, hello) == 1
    assert await engine.log.settled(INBOX.topic, INBOX.name, 20)
    await pipeline.stop()
    await running
    page = await desk.newest(make.ADMIN, unread=True, cursor=None, limit=1)
    assert page.unread_count == accepted + 1


async def test_tasks_that_concern_many_people_are_stored_in_parts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plans of a whole batch of them could be more than one transaction takes, and would be so at each new try."""
    monkeypatch.setattr(store, "MOST_TOLD", 20)
    parts: list[int] = []
    insert = engine.tasks.insert

    async def counted(entries: Sequence[Entry]) -> None:
        parts.append(len(entries))
        await insert(entries)

    monkeypatch.setattr(engine.tasks, "insert", counted)
    crowd = tuple(UserId(number) for number in range(100, 130))
    tasks = [make.task(number, observer_ids=crowd[:7] if number < 10 else crowd) for number in range(1, 11)]
    await Ingest(store=engine.tasks, clock=engine.clock).receive([make.submission(one) for one in tasks])
    assert parts == [2, 2, 2, 2, 1, 1], "two concern 18 people at most; one that alone concerns more goes alone"
    await engine.settle()
    reader = engine.log.reader(INBOX.topic, "others")
    stored = await reader.read(1_000, 1)
    while more := await reader.read(1_000, 0.2):
        stored = [*stored, *more]
    planned = [(plan.data.task_id, plan.data.user_id) for plan in (_event(INBOX.topic, one) for one in stored)]
    assert len(planned) == len(set(planned)) == 9 * 7 + 30, "each is told once of each task"


async def test_parts_that_are_stored_are_not_said_again_while_an_engine_is_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_TOLD", 6)
    tried: list[list[int]] = []
    insert = engine.tasks.insert

    async def flaky(entries: Sequence[Entry]) -> None:
        tried.append([entry.task.id for entry in entries])
        if 4 in tried[-1] and len(tried) < 5:
            raise Unavailable("store", "away")
        await insert(entries)

    monkeypatch.setattr(engine.tasks, "insert", flaky)
    ingest = Ingest(store=engine.tasks, clock=engine.clock)
    batch = [make.submission(make.task(number)) for number in range(1, 6)]
    for _ in range(3):
        with pytest.raises(Unavailable):
            await ingest.receive(batch)
    await ingest.receive(batch)
    assert tried == [[1, 2, 3], [4, 5], [4, 5], [4, 5], [4, 5]]
    await ingest.receive(batch)
    assert tried[5:] == [[1, 2, 3], [4, 5]], "a batch that is read again is a new one"


def _event(topic: str, record: Stored) -> Any:
    return record.event or events.decode(topic, record.value)


class Slow:
    """A log of which only this is asked: how far a group is behind that commits so many records a second."""

    def __init__(self, behind: int, per_s: int, lanes: int = 1) -> None:
        self._lanes = lanes
        self._behind = behind
        self._per_s = per_s
        self._began_s = time.monotonic()
        self.is_away = False

    def lanes(self, _topic: str) -> int:
        return self._lanes

    async def backlog(self, topic: str, group: str) -> int:
        if self.is_away:
            raise Unavailable("log", "It is away.")
        return self._behind - await self.committed(topic, group)

    def backlog_now(self, _topic: str, _group: str) -> int | None:
        return None  # it has to be asked

    async def committed(self, topic: str, group: str) -> int:
        assert (topic, group) == ("topic", "group")
        return int((time.monotonic() - self._began_s) * self._per_s)

    def append(self, records: int) -> None:
        self._behind += records


def before(log: Slow, limit: int = 1_000) -> Backpressure:
    return Backpressure(log, limit, ("topic", "group"))  # type: ignore[arg-type]


async def pass_through(room: Backpressure, log: Slow, records: int = 1) -> float:
    """Append when there is room; the seconds that it took."""
    began_s = time.monotonic()
    async with room.enter(records):
        await asyncio.sleep(0.01)
        log.append(records)
    return time.monotonic() - began_s


def watches() -> int:
    return sum(task.get_name() == "backpressure" for task in asyncio.all_tasks())


async def test_who_submits_is_held_back_while_the_group_is_behind_and_let_go_together() -> None:
    log = Slow(behind=300, per_s=1_000)
    room = before(log)
    waiting = [asyncio.create_task(pass_through(room, log)) for _ in range(50)]
    await asyncio.sleep(0.05)
    assert watches() == 1
    waiting[0].cancel()  # who gives up takes nobody along
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting[1:])
    for took_s in await asyncio.gather(*waiting[1:]):
        assert took_s < 1
    assert await log.backlog("topic", "group") <= 100 + 50
    assert not watches()


async def test_nobody_waits_for_a_group_that_stands_still_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktide.ports.backpressure.LOOK_S", 0.002)
    log = Slow(behind=500, per_s=0)
    room = before(log)
    assert await pass_through(room, log) > 0.1
    assert max([await pass_through(room, log) for _ in range(5)]) < 0.1
    log.append(500)
    with pytest.raises(Unavailable):
        await pass_through(room, log)


async def test_a_group_that_is_slower_than_they_are_holds_them_back_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasktide.ports.backpressure.LOOK_S", 0.002)
    log = Slow(behind=500, per_s=10)
    room = before(log)
    await pass_through(room, log, records=50)
    assert await pass_through(room, log) > 0.1


async def test_those_let_go_together_do_not_pass_the_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktide.ports.backpressure.LOOK_S", 0.002)
    log = Slow(behind=200, per_s=10)
    room = before(log)
    ended = await asyncio.gather(*(pass_through(room, log, 300) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(one, Unavailable) for one in ended) == 17
    assert await log.backlog("topic", "group") <= 1_000 + 300


async def test_an_engine_that_goes_away_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktide.ports.backpressure.LOOK_S", 0.002)
    log = Slow(behind=500, per_s=10)
    room = before(log)
    waiting = [asyncio.create_task(pass_through(room, log)) for _ in range(5)]
    await asyncio.sleep(0.02)
    log.is_away = True
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in ended)
    assert not watches()


async def test_each_lane_of_a_group_may_be_behind_by_as_much() -> None:
    idle, one, two = Slow(behind=0, per_s=0), Slow(behind=3_000, per_s=4_000), Slow(behind=3_000, per_s=0, lanes=2)
    ways = ("topic", "group"), ("second", "group")
    for log, is_held in [(Further(idle, two), False), (Further(two, idle), False), (Further(two, one), True)]:
        room = Backpressure(log, 40_000, *ways)  # type: ignore[arg-type]
        assert (await pass_through(room, idle) > 0.1) is is_held


class Further:
    """A log with a second topic, which is asked in the same way."""

    def __init__(self, first: Slow, second: Slow) -> None:
        self._by_topic = {"topic": first, "second": second}

    def lanes(self, topic: str) -> int:
        return self._by_topic[topic].lanes(topic)

    async def backlog(self, topic: str, group: str) -> int:
        return await self._by_topic[topic].backlog("topic", group)

    def backlog_now(self, _topic: str, _group: str) -> int | None:
        return None

    async def committed(self, topic: str, group: str) -> int:
        return await self._by_topic[topic].committed("topic", group)


@pytest.mark.parametrize(("behind", "per_s"), [(300, 1_000), (5_000, 0)])
async def test_who_submits_waits_for_the_groups_further_on_but_is_not_refused_for_them(
    monkeypatch: pytest.MonkeyPatch, behind: int, per_s: int
) -> None:
    monkeypatch.setattr("tasktide.ports.backpressure.LOOK_S", 0.01)
    first, second = Slow(behind=0, per_s=0), Slow(behind=behind, per_s=per_s)
    room = Backpressure(Further(first, second), 1_000, ("topic", "group"), ("second", "group"))  # type: ignore[arg-type]
    assert await pass_through(room, first) > 0.1
    # Now it has caught up, or is known to stand still.
    assert await pass_through(room, first) < 0.1

"""What several shards promise together, on PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support import make
from support.engines import Engine, open_engine
from tasktide.adapters.postgres import moves as postgres_moves
from tasktide.adapters.postgres.database import Connection, Database
from tasktide.adapters.postgres.evidence import PostgresEvidence
from tasktide.adapters.postgres.tasks import PostgresTasks
from tasktide.domain import events, tasks
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.paging import Cursor, TaskFilter, TaskQuery
from tasktide.domain.slots import SLOTS, ring, slot_of
from tasktide.domain.tasks import Task
from tasktide.ports.tasks import Change


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with open_engine("postgres", tmp_path) as opened:
        yield opened


def store(engine: Engine) -> PostgresTasks:
    assert isinstance(engine.tasks, PostgresTasks)
    return engine.tasks


async def holders(engine: Engine, task_id: int) -> list[tuple[int, int]]:
    """The shards where a task stands, each with how it moves there."""
    found = []
    for index, database in enumerate(engine.outboxes):
        rows = await database.fetch("SELECT moving FROM tasks WHERE id = $1", task_id)
        found += [(index, row[0]) for row in rows]
    return found


def on_another_shard(engine: Engine, user_id: int) -> UserId:
    shards = store(engine)._shards
    return next(UserId(n) for n in range(1, 1_000) if shards.holding(n) != shards.holding(user_id))


def handed_over(before: Task, performer_id: UserId) -> Change:
    after = tasks.edit(before, {"performer_id": performer_id, "labels": ("b",)}, make.NOW)
    event = events.changed(before, after, "user:1")
    return Change(task_id=before.id, expected_version=before.version, after=after, event=event)


async def settled(engine: Engine, task_id: int, shard: int) -> None:
    async with asyncio.timeout(10):
        while await holders(engine, task_id) != [(shard, 0)]:
            await asyncio.sleep(0.01)


def test_the_ring_deals_fairly_and_moves_only_what_it_must() -> None:
    before, after = ring(["a", "b", "c"]), ring(["a", "b", "c", "d"])
    assert all(SLOTS / 3 * 0.75 < before.count(name) < SLOTS / 3 * 1.25 for name in "abc")
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"d"}
    assert SLOTS / 4 * 0.7 < len(moved) < SLOTS / 4 * 1.3


def test_neighbouring_ids_land_in_all_slots() -> None:
    slots = [slot_of(number) for number in range(10_000)]
    assert set(slots) == set(range(SLOTS))
    assert max(slots.count(slot) for slot in range(SLOTS)) < 30


async def test_lists_page_over_all_shards(engine: Engine) -> None:
    some = [make.task(n, performer_id=UserId(n), priority=n % 3) for n in range(1, 61)]
    await engine.tasks.insert([make.entry(task) for task in some])
    assert len({store(engine)._shards.holding(task.performer_id or 0) for task in some}) == 3
    seen: list[tuple[int, int]] = []
    query = TaskQuery(sort="priority", descending=True, limit=7)
    while page := await engine.tasks.find(query):
        seen += [(task.priority, task.id) for task in page]
        query = msgspec.structs.replace(query, after=Cursor(query.order, page[-1].priority, page[-1].id))
    assert seen == sorted(((task.priority, task.id) for task in some), reverse=True)


async def test_a_task_follows_its_performer(engine: Engine) -> None:
    task = make.task(1, performer_id=UserId(1), labels=("a",), observer_ids=(UserId(9),))
    await engine.tasks.insert([make.entry(task)])
    performer = on_another_shard(engine, 1)
    assert await engine.tasks.commit([handed_over(task, performer)]) == {task.id}
    assert (await engine.tasks.get([task.id]))[task.id].performer_id == performer, "found while it moves"
    await settled(engine, task.id, store(engine)._shards.holding(performer))
    assert (await engine.tasks.get([task.id]))[task.id].version == 2
    assert len(await engine.tasks.history(task.id, 0, 10)) == 2
    assert await engine.tasks.count(TaskFilter(label="b", observer_id=9, performer_id=performer)) == 1
    assert await engine.tasks.count(TaskFilter(label="a")) == 0
    # A submission that is read again must not bring it back where it was.
    await engine.tasks.insert([make.entry(task)])
    assert len(await holders(engine, task.id)) == 1
    back = (await engine.tasks.get([task.id]))[task.id]
    assert await engine.tasks.commit([handed_over(back, UserId(1))]) == {task.id}
    await settled(engine, task.id, store(engine)._shards.holding(1))


@pytest.mark.parametrize("writes", range(1, 8))
async def test_a_move_that_is_broken_off_is_finished_by_the_sweep(
    engine: Engine, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make.task(1, performer_id=UserId(1), labels=("a",), observer_ids=(UserId(9),))
    await engine.tasks.insert([make.entry(task)])
    performer = on_another_shard(engine, 1)
    moves = store(engine)._moves
    monkeypatch.setattr(moves, "begin", lambda *_: None)
    await engine.tasks.commit([handed_over(task, performer)])
    source = store(engine)._shards.holding(1)

    count = 0

    def broken(execute: Any) -> Any:
        async def counting(self: Any, *arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count > writes:
                raise OSError("the power is cut")
            return await execute(self, *arguments)

        return counting

    with monkeypatch.context() as patched, contextlib.suppress(Exception):
        for kind in (Connection, Database):
            patched.setattr(kind, "execute", broken(kind.execute))
        await moves.move(source, task.id)
    found = await engine.tasks.find(TaskQuery())
    assert [(one.id, one.version) for one in found] == [(1, 2)], "there, once, at every moment"
    while await moves.sweep():
        continue
    assert await holders(engine, task.id) == [(store(engine)._shards.holding(performer), 0)]
    assert len(await engine.tasks.history(TaskId(1), 0, 10)) == 2
    assert await engine.tasks.count(TaskFilter(label="b", observer_id=9)) == 1
    assert await engine.tasks.count(TaskFilter(label="a")) == 0


async def test_two_at_once_move_a_task_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make.task(1, performer_id=UserId(1))
    await engine.tasks.insert([make.entry(task)])
    performer = on_another_shard(engine, 1)
    moves = store(engine)._moves
    monkeypatch.setattr(moves, "begin", lambda *_: None)
    await engine.tasks.commit([handed_over(task, performer)])
    source = store(engine)._shards.holding(1)
    await asyncio.gather(*(moves.move(source, task.id) for _ in range(3)))
    assert await holders(engine, task.id) == [(store(engine)._shards.holding(performer), 0)]


async def test_what_a_broken_move_left_does_not_bring_a_deleted_task_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make.task(1, performer_id=UserId(1))
    await engine.tasks.insert([make.entry(task)])
    moves = store(engine)._moves
    monkeypatch.setattr(moves, "begin", lambda *_: None)
    await engine.tasks.commit([handed_over(task, on_another_shard(engine, 1))])
    source = store(engine)._shards.holding(1)
    execute = Connection.execute

    async def cut_before_leaving(self: Connection, sql: str, *arguments: Any) -> int:
        if "has_moved) VALUES" in sql:
            raise OSError("the power is cut")
        return await execute(self, sql, *arguments)

    with monkeypatch.context() as patched, contextlib.suppress(Exception):
        patched.setattr(Connection, "execute", cut_before_leaving)
        await moves.move(source, task.id)
    assert len(await holders(engine, task.id)) == 2
    there = (await engine.tasks.get([task.id]))[task.id]
    event = events.deleted(there, "user:1", make.NOW)
    gone = Change(task_id=task.id, expected_version=there.version, after=None, event=event)
    assert await engine.tasks.commit([gone]) == {task.id}
    while await moves.sweep():
        continue
    assert await holders(engine, task.id) == []
    assert await engine.tasks.get([task.id]) == {}


async def test_a_move_waits_until_what_was_said_before_is_on_the_log(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_moves, "SAID_WITHIN_S", 0.2)
    task = make.task(1, performer_id=UserId(1))
    await engine.tasks.insert([make.entry(task)])
    await engine.settle()
    moves = store(engine)._moves
    monkeypatch.setattr(moves, "begin", lambda *_: None)
    performer = on_another_shard(engine, 1)
    source, target = (store(engine)._shards.holding(one) for one in (1, performer))
    append, may_append = type(engine.log).append, asyncio.Event()

    async def held(log: Any, records: Any) -> None:
        await may_append.wait()
        await append(log, records)

    monkeypatch.setattr(type(engine.log), "append", held)
    await engine.tasks.commit([handed_over(task, performer)])
    with pytest.raises(Unavailable):
        await moves.move(source, task.id)
    assert await holders(engine, task.id) == [(source, 1)], "it is valid there"
    monkeypatch.setattr(postgres_moves, "SAID_WITHIN_S", 20)
    moving = asyncio.create_task(moves.move(source, task.id))
    may_append.set()
    await moving
    assert await holders(engine, task.id) == [(target, 0)]


async def test_a_sweep_that_crosses_with_a_move_loses_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make.task(1, performer_id=UserId(1))
    await engine.tasks.insert([make.entry(task)])
    moves = store(engine)._moves
    monkeypatch.setattr(moves, "begin", lambda *_: None)
    performer = on_another_shard(engine, 1)
    source, target = (store(engine)._shards.holding(one) for one in (1, performer))
    await engine.tasks.commit([handed_over(task, performer)])
    execute, value, finish = Connection.execute, Database.value, Database.execute
    moving: list[asyncio.Task[None]] = []
    is_swept = asyncio.Event()

    async def cut_before_leaving(self: Connection, sql: str, *arguments: Any) -> int:
        if "has_moved) VALUES" in sql:
            raise OSError("the power is cut")
        return await execute(self, sql, *arguments)

    async def there_and_back(performer_id: UserId) -> None:
        now = (await engine.tasks.get([task.id]))[task.id]
        assert await engine.tasks.commit([handed_over(now, performer_id)])

    async def slow_to_arrive(self: Database, sql: str, *arguments: Any) -> int:
        if "moving = 0" in sql and asyncio.current_task() in moving:
            await is_swept.wait()
        return await finish(self, sql, *arguments)

    async def crossing(self: Database, sql: str, *arguments: Any) -> Any:
        if "NOT has_moved" in sql and not moving:
            await there_and_back(performer)
            moving.append(asyncio.create_task(moves.move(source, task.id)))
            await asyncio.wait(moving, timeout=1)
        return await value(self, sql, *arguments)

    with monkeypatch.context() as patched, contextlib.suppress(Unavailable):
        patched.setattr(Connection, "execute", cut_before_leaving)
        await moves.move(source, task.id)
    await there_and_back(UserId(1))
    assert await holders(engine, task.id) == sorted([(source, 0), (target, 2)])
    with monkeypatch.context() as patched:
        patched.setattr(Database, "value", crossing)
        patched.setattr(Database, "execute", slow_to_arrive)
        await moves.sweep()
        is_swept.set()
        await asyncio.gather(*moving)
    while await moves.sweep():
        continue
    assert await holders(engine, task.id) == [(target, 0)]
    assert len(await engine.tasks.history(task.id, 0, 10)) == 4


async def test_a_batch_that_is_repeated_does_not_bring_a_task_back_that_is_being_deleted(engine: Engine) -> None:
    batch = [make.entry(make.task(n, performer_id=UserId(1))) for n in (1, 2)]
    await engine.tasks.insert(batch)
    shard = engine.outboxes[store(engine)._shards.holding(1)]
    blocked = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO tasks%'"
    )
    async with shard.transaction() as deleting:
        await deleting.execute("DELETE FROM tasks WHERE id = 1")
        await deleting.execute("INSERT INTO task_tombstones (id, deleted_at) VALUES (1, $1)", make.NOW)
        again = asyncio.create_task(engine.tasks.insert(batch))
        async with asyncio.timeout(10):
            while not await shard.value(blocked):
                await asyncio.sleep(0.01)
    await again
    assert set(await engine.tasks.get([TaskId(1), TaskId(2)])) == {2}
    assert await engine.tasks.history(TaskId(1), 0, 10) == []


async def test_the_evidence_is_of_one_moment(engine: Engine) -> None:
    """A task that is changed between two looks must not seem to lack what happened to it."""
    task = make.task(1, performer_id=UserId(1))
    await engine.tasks.insert([make.entry(task)])
    evidence = PostgresEvidence(engine.outboxes[0], engine.outboxes)
    try:
        [page] = [page async for page in evidence.tasks()]
        after = tasks.edit(task, {"title": "later"}, make.NOW)
        change = Change(task_id=task.id, expected_version=1, after=after, event=events.changed(task, after, "user:1"))
        assert await engine.tasks.commit([change]) == {task.id}
        [history] = [page async for page in evidence.history()]
    finally:
        await evidence.close()
    assert [kept.searched[0] for kept in page] == [event.version for event in history] == [1]


async def test_who_waits_to_fill_inboxes_holds_no_connection(engine: Engine) -> None:
    ann = UserId(1)
    shard = engine.outboxes[store(engine)._shards.holding(ann)]
    async with shard.transaction() as connection:
        # As another process fills inboxes of this shard.
        await connection.execute("SELECT 1 FROM notification_numbers FOR UPDATE")
        filling = [asyncio.create_task(engine.notifications.insert([make.told(n)])) for n in range(1, 9)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(2):
            assert await engine.notifications.unread(ann) == 0
    await asyncio.gather(*filling)
    assert await engine.notifications.unread(ann) == 8

"""What every log promises."""

import asyncio
from pathlib import Path

import pytest

from support.clock import FakeClock
from support.engines import Engine, open_base, open_engine
from tasktide.adapters.sqlite import tail as sqlite_tail
from tasktide.domain.times import later
from tasktide.ports.log import Record

TOPIC = "task.events"


def records(first: int, last: int, topic: str = TOPIC) -> list[Record]:
    return [Record(topic, f"key-{n}", b"value-%d" % n) for n in range(first, last + 1)]


async def test_a_group_reads_what_was_appended_in_order_and_once(engine: Engine) -> None:
    reader = engine.log.reader(TOPIC, "a")
    await engine.log.append(records(1, 3))
    await engine.log.append(records(4, 5))
    found = [*await reader.read(2, 0), *await reader.read(10, 0)]
    assert [one.value for one in found] == [b"value-%d" % n for n in range(1, 6)]
    assert [one.key for one in found] == [f"key-{n}" for n in range(1, 6)]
    assert sorted({one.position for one in found}) == [one.position for one in found]
    assert await reader.read(10, 0) == []


async def test_a_reader_waits_for_the_first_record(engine: Engine) -> None:
    reader = engine.log.reader(TOPIC, "a")
    assert await reader.read(10, 0) == []
    waiting = asyncio.create_task(reader.read(10, 30))
    await asyncio.sleep(0)
    await engine.log.append(records(1, 1))
    assert [one.value for one in await waiting] == [b"value-1"]


async def test_reading_starts_behind_the_last_commit(tmp_path: Path) -> None:
    async with open_engine("sqlite-file", tmp_path) as engine:
        reader = engine.log.reader(TOPIC, "a")
        await engine.log.append(records(1, 5))
        found = await reader.read(3, 0)
        await reader.commit(found[1].position)
    async with open_engine("sqlite-file", tmp_path) as engine:
        again = await engine.log.reader(TOPIC, "a").read(10, 0)
        assert [one.value for one in again] == [b"value-3", b"value-4", b"value-5"]


async def test_groups_and_topics_are_apart(engine: Engine) -> None:
    await engine.log.append([*records(1, 2), *records(1, 1, "task.input")])
    first, second = engine.log.reader(TOPIC, "a"), engine.log.reader(TOPIC, "b")
    await first.commit((await first.read(10, 0))[-1].position)
    assert len(await second.read(10, 0)) == 2
    assert len(await engine.log.reader("task.input", "a").read(10, 0)) == 1


async def test_lag_counts_what_is_not_committed_and_its_age(engine: Engine) -> None:
    reader = engine.log.reader(TOPIC, "a")
    assert await reader.lag() == (0, 0.0)
    await engine.log.append(records(1, 3))
    engine.clock.advance(7)
    assert await reader.lag() == (3, 7.0)
    assert await engine.log.backlog(TOPIC, "a") == 3
    committed = await engine.log.committed(TOPIC, "a")
    await reader.commit((await reader.read(10, 0))[-1].position)
    assert await reader.lag() == (0, 0.0)
    assert await engine.log.backlog(TOPIC, "a") == 0
    assert await engine.log.committed(TOPIC, "a") == committed + 3


async def test_settled_waits_for_the_commit(engine: Engine) -> None:
    reader = engine.log.reader(TOPIC, "a")
    assert await engine.log.settled(TOPIC, "a", 0.01)
    await engine.log.append(records(1, 2))
    assert not await engine.log.settled(TOPIC, "a", 0.01)
    waiting = asyncio.create_task(engine.log.settled(TOPIC, "a", 30))
    await reader.commit((await reader.read(10, 0))[-1].position)
    assert await waiting


async def test_trim_forgets_only_what_is_old_and_read_by_all(engine: Engine) -> None:
    slow, fast = engine.log.reader(TOPIC, "feed"), engine.log.reader(TOPIC, "fast")
    await engine.log.append(records(1, 2))
    await fast.commit((await fast.read(10, 0))[-1].position)
    found = await slow.read(1, 0)
    await slow.commit(found[0].position)
    cutoff = later(engine.clock.now(), 1)
    await engine.log.trim(cutoff)
    assert [one.value for one in await slow.read(10, 0)] == [b"value-2"]
    await slow.commit(found[0].position + 1)
    assert await engine.log.trim(cutoff) == 1
    assert await engine.log.trim(cutoff) == 0
    await engine.log.append(records(3, 3))
    assert [one.value for one in await slow.read(10, 0)] == [b"value-3"], "positions go on after a trim"


async def test_trim_keeps_what_a_reader_that_never_ran_must_read(engine: Engine) -> None:
    await engine.log.append([*records(1, 2), *records(1, 1, "task.output")])
    assert await engine.log.trim(later(engine.clock.now(), 1)) == 1, "nobody must read task.output"
    feed = engine.log.reader(TOPIC, "feed")
    found = await feed.read(10, 0)
    assert len(found) == 2
    await feed.commit(found[-1].position)
    assert await engine.log.trim(later(engine.clock.now(), 1)) == 1


async def test_a_damaged_batch_is_one_record_that_nobody_can_decode(tmp_path: Path) -> None:
    async with open_base("sqlite-file", tmp_path, FakeClock()) as (base, log):
        await log.append(records(1, 1))
        await log.append(records(2, 3))
        damage = "UPDATE log_batches SET body = ? WHERE last_offset = 1"
        await base.run(lambda tx: tx.execute(damage, (b"\xc1garbage",)))
        found = await log.reader(TOPIC, "a").read(10, 0)
    assert [one.value for one in found] == [b"\xc1garbage", b"value-2", b"value-3"]


async def test_appends_of_many_callers_keep_the_order_of_each(engine: Engine) -> None:
    reader = engine.log.reader(TOPIC, "a")

    async def caller(name: int) -> None:
        for n in range(20):
            await engine.log.append([Record(TOPIC, str(name), b"%d" % n)])

    await asyncio.gather(*(caller(name) for name in range(10)))
    found = await reader.read(1_000, 0)
    assert len(found) == 200
    for name in range(10):
        assert [int(one.value) for one in found if one.key == str(name)] == list(range(20))


async def test_any_bytes_come_back_as_they_were(engine: Engine) -> None:
    odd = [b"", b"\x00\xff\n", b"x" * 300_000, "ünï".encode()]
    await engine.log.append([Record(TOPIC, "kéy\n", value) for value in odd])
    assert [one.value for one in await engine.log.reader(TOPIC, "a").read(10, 0)] == odd


async def test_a_reader_far_behind_reads_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_tail, "TAIL_BYTES", 100)
    async with open_engine("sqlite-file", tmp_path) as engine:
        reader = engine.log.reader(TOPIC, "a")
        assert await reader.read(1, 0) == []
        for n in range(50):
            await engine.log.append(records(n, n))
        values = []
        while found := await reader.read(7, 0):
            values += [one.value for one in found]
        assert values == [b"value-%d" % n for n in range(50)]


async def test_what_another_process_appends_is_read_too(tmp_path: Path) -> None:
    async with open_engine("sqlite-file", tmp_path) as server, open_engine("sqlite-file", tmp_path) as tool:
        reader = server.log.reader(TOPIC, "a")
        await server.log.append(records(1, 1))
        await tool.log.append(records(2, 2))
        await server.log.append(records(3, 3))
        values: list[bytes] = []
        while len(values) < 3:
            values += [one.value for one in await reader.read(10, 0.05)]
        assert values == [b"value-1", b"value-2", b"value-3"]
        await tool.log.append(records(4, 4))
        assert [one.value for one in await reader.read(10, 0.01)] == [b"value-4"]

"""What holds when several readers of a process share the keys of a topic."""

import asyncio
import random
from pathlib import Path

import pytest

from support.clock import FakeClock
from support.engines import Engine, open_base
from tasktide.adapters.sqlite import tail as sqlite_tail
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.adapters.sqlite.reader import SqliteReader
from tasktide.domain.times import later
from tasktide.ports.log import Record, Share, Stored

TOPIC = "task.events"


def records(first: int, last: int) -> list[Record]:
    return [Record(TOPIC, f"key-{n % 20}", b"%d" % n) for n in range(first, last + 1)]


def lanes_of(log: SqliteLog, lanes: int = 2) -> list[SqliteReader]:
    return [log.reader(TOPIC, "a", Share(lane, lanes)) for lane in range(lanes)]


def values(some: list[Stored]) -> list[int]:
    return [int(one.value) for one in some]


def one_sided(share: Share, count: int, start: int = 1) -> list[Record]:
    """Records of keys that are all the share's."""
    keys = [f"key-{n}" for n in range(100) if share.has(f"key-{n}")]
    return [Record(TOPIC, keys[n % len(keys)], b"%d" % n) for n in range(start, start + count)]


@pytest.fixture
def lanes(engine: Engine) -> list[SqliteReader]:
    assert isinstance(engine.log, SqliteLog)
    return lanes_of(engine.log)


async def test_lanes_share_the_keys_and_read_every_record_once(engine: Engine, lanes: list[SqliteReader]) -> None:
    await engine.log.append(records(1, 150))
    await engine.log.append(records(151, 200))
    seen: list[list[Stored]] = [[], []]
    for lane, reader in enumerate(lanes):
        while found := await reader.read(30, 0):
            assert len(found) <= 30
            seen[lane] += found
    assert sorted(values(seen[0] + seen[1])) == list(range(1, 201))
    assert all(values(some) == sorted(values(some)) for some in seen)
    keys = [{one.key for one in some} for some in seen]
    assert all(keys)
    assert not keys[0] & keys[1]


async def test_a_group_is_as_far_as_its_last_lane(engine: Engine, lanes: list[SqliteReader]) -> None:
    await engine.log.append(records(1, 100))
    ahead, behind = lanes
    found = await behind.read(10, 0)
    await ahead.commit((await ahead.read(1_000, 0))[-1].position)
    assert await engine.log.committed(TOPIC, "a") == 0
    assert await engine.log.backlog(TOPIC, "a") == 100
    assert not await engine.log.settled(TOPIC, "a", 0.01)
    assert await engine.log.trim(later(engine.clock.now(), 1)) == 0
    await behind.commit(found[-1].position)
    assert await engine.log.committed(TOPIC, "a") == found[-1].position
    await behind.commit((await behind.read(1_000, 0))[-1].position)
    assert await engine.log.settled(TOPIC, "a", 30)
    assert await engine.log.backlog(TOPIC, "a") == 0


async def test_a_lane_without_records_holds_nobody_back(engine: Engine, lanes: list[SqliteReader]) -> None:
    idle, busy = lanes
    assert await idle.read(10, 0) == []
    for start in (1, 51):
        await engine.log.append(one_sided(busy.share, 50, start))
        found = await busy.read(100, 0)
        assert len(found) == 50
        await busy.commit(found[-1].position)
        assert await engine.log.settled(TOPIC, "a", 30)


async def test_a_lane_that_was_away_passes_over_what_is_not_its_own(engine: Engine, lanes: list[SqliteReader]) -> None:
    idle, busy = lanes
    await engine.log.append([*one_sided(idle.share, 1), *one_sided(busy.share, 50)])
    await busy.commit((await busy.read(100, 0))[-1].position)
    [own] = await idle.read(10, 0)
    await idle.commit(own.position)
    assert await idle.read(10, 0) == []
    assert await engine.log.settled(TOPIC, "a", 30)


async def test_only_the_lanes_with_a_share_in_it_are_woken(engine: Engine, lanes: list[SqliteReader]) -> None:
    idle, busy = lanes
    waiting = [asyncio.create_task(reader.read(10, 5)) for reader in lanes]
    await asyncio.sleep(0.05)
    await engine.log.append(one_sided(busy.share, 1))
    assert len(await waiting[1]) == 1
    await asyncio.sleep(0.05)
    assert not waiting[0].done()
    await engine.log.append(one_sided(idle.share, 1, 2))
    assert values(list(await waiting[0])) == [2]


async def test_lag_is_told_by_one_lane_for_all(engine: Engine, lanes: list[SqliteReader]) -> None:
    await engine.log.append(records(1, 100))
    engine.clock.advance(7)
    assert [await reader.lag() for reader in lanes] == [(100, 7.0), (0, 0.0)]


async def test_after_a_restart_no_lane_misses_a_record(tmp_path: Path) -> None:
    async with open_base("sqlite-file", tmp_path, FakeClock()) as (_, log):
        ahead, behind = lanes_of(log)
        await log.append(records(1, 100))
        await ahead.commit((await ahead.read(1_000, 0))[-1].position)
        left = values(list(await behind.read(1_000, 0)))
    async with open_base("sqlite-file", tmp_path, FakeClock()) as (_, log):
        found = [one for reader in lanes_of(log, 3) for one in await reader.read(1_000, 0)]
    assert set(left) <= set(values(found)), "and with another number of lanes"


async def test_a_lane_nobody_reads_holds_the_group_where_it_is(engine: Engine) -> None:
    alone = engine.log.reader(TOPIC, "a", Share(0, 2))
    await engine.log.append(records(1, 100))
    await alone.commit((await alone.read(1_000, 0))[-1].position)
    assert await engine.log.committed(TOPIC, "a") == 0


async def follow(reader: SqliteReader, handled: list[tuple[str, int]], dice: random.Random) -> None:
    """Handle what comes, note it, and pause where one might."""
    while True:
        found = await reader.read(dice.randint(1, 40), 0.01)
        for one in found:
            handled.append((one.key, int(one.value)))
            if not dice.randrange(8):
                await asyncio.sleep(0)
        if found:
            await reader.commit(found[-1].position)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("tail_bytes", [sqlite_tail.TAIL_BYTES, 60])
async def test_through_any_interleaving_and_any_death_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, tail_bytes: int
) -> None:
    monkeypatch.setattr(sqlite_tail, "TAIL_BYTES", tail_bytes)  # with the small one most is read from the file
    dice = random.Random(seed)
    handled: list[tuple[str, int]] = []
    count = 300

    appended = 0
    for deaths_left in (3, 2, 1, 0):
        async with open_base("sqlite-file", tmp_path, FakeClock()) as (_, log):
            following = [
                asyncio.create_task(follow(reader, handled, dice)) for reader in lanes_of(log, dice.randint(1, 3))
            ]
            while appended < count:
                some = dice.randint(1, 25)
                await log.append(records(appended + 1, min(count, appended + some)))
                appended = min(count, appended + some)
                await asyncio.sleep(dice.choice([0, 0, 0.002]))
                if deaths_left and not dice.randrange(10):
                    break
            else:
                assert await log.settled(TOPIC, "a", 30)
            for task in following:
                task.cancel()  # in the middle of whatever it does
            await asyncio.gather(*following, return_exceptions=True)
    assert {value for _, value in handled} == set(range(1, count + 1))
    for key in {key for key, _ in handled}:
        order = list(dict.fromkeys(value for its, value in handled if its == key))
        assert order == sorted(order), "each key in order, for the first time"

"""What holds when several readers of a process share the keys of a topic."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from support.clock import FakeClock
from support.engines import Engine, open_base
from tasktide.adapters.sqlite import reader
from tasktide.adapters.sqlite import tail as sqlite_tail
from tasktide.adapters.sqlite.database import Database, Work
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.adapters.sqlite.reader import SqliteReader
from tasktide.domain.times import later
from tasktide.ports.log import Record, Share, Stored, lane_of

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
    for lane, one in enumerate(lanes):
        while found := await one.read(30, 0):
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
    for start in (1, 51):
        await engine.log.append(one_sided(busy.share, 50, start))
        assert await idle.read(10, 0) == []
        while found := await busy.read(10, 0):
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


async def test_little_is_read_by_the_first_lane_alone_and_much_by_all(
    engine: Engine, lanes: list[SqliteReader]
) -> None:
    first, second = lanes
    assert await first.read(20, 0) == []
    waiting = asyncio.create_task(second.read(20, 30))
    await asyncio.sleep(0.05)
    await engine.log.append(records(1, 10))
    found = await first.read(20, 0)
    assert values(list(found)) == list(range(1, 11))
    await first.commit(found[-1].position)
    assert await engine.log.committed(TOPIC, "a") == 10
    assert not waiting.done()
    await engine.log.append(records(11, 60))
    found = await first.read(20, 0)
    assert {lane_of(one.key, 2) for one in found} == {0}
    others = await asyncio.wait_for(waiting, 10)
    assert {lane_of(one.key, 2) for one in others} == {1}
    await second.commit(others[-1].position)
    await first.commit(found[-1].position)
    while found := [*await first.read(20, 0), *await second.read(20, 0)]:
        await first.commit(max(one.position for one in found))
        await second.commit(max(one.position for one in found))
    assert await engine.log.committed(TOPIC, "a") == 60
    await engine.log.append(records(61, 65))
    assert await second.read(20, 0) == []
    assert len(await first.read(20, 0)) == 5, "little again"


async def test_the_first_lane_waits_for_what_others_have_in_hand(engine: Engine, lanes: list[SqliteReader]) -> None:
    first, second = lanes
    await engine.log.append([*one_sided(first.share, 10), *one_sided(second.share, 10, 11)])
    in_hand = await second.read(1_000, 0)
    found = await first.read(1_000, 0)
    await first.commit(found[-1].position)
    await engine.log.append(one_sided(second.share, 3, 21))
    assert await first.read(1_000, 0) == [], "they are of keys that the other is at"
    await second.commit(in_hand[-1].position)
    assert values(list(await first.read(1_000, 0))) == [21, 22, 23]


@pytest.mark.parametrize("tail_bytes", [sqlite_tail.TAIL_BYTES, 1])
async def test_what_the_first_lane_reads_for_all_is_not_handled_before_it_says_so(
    engine: Engine, lanes: list[SqliteReader], monkeypatch: pytest.MonkeyPatch, tail_bytes: int
) -> None:
    monkeypatch.setattr(sqlite_tail, "TAIL_BYTES", tail_bytes)
    first, second = lanes
    await engine.log.append([*one_sided(second.share, 10), *one_sided(first.share, 1, 11)])
    await first.commit((await first.read(10, 0))[-1].position)
    assert values(list(await first.read(30, 0))) == list(range(1, 11)), "for the other, and behind its own"
    assert await second.read(30, 0) == []
    assert await engine.log.committed(TOPIC, "a") == 0
    await first.commit(10)
    assert await engine.log.committed(TOPIC, "a") == 11


async def test_a_lane_is_ahead_of_the_others_by_so_much_at_most(
    engine: Engine, lanes: list[SqliteReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LEAD", 100)
    slow, fast = lanes
    await engine.log.append([*one_sided(slow.share, 1), *one_sided(fast.share, 400, 2)])
    [own] = await slow.read(10, 0)
    seen = 0
    while found := await fast.read(30, 0):
        seen += len(found)
        await fast.commit(found[-1].position)
    assert 100 <= seen <= 130
    waiting = asyncio.create_task(fast.read(30, 30))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await slow.commit(own.position)
    assert await slow.read(10, 0) == []
    assert len(await asyncio.wait_for(waiting, 10)) == 30


async def test_a_damaged_batch_is_every_lanes(tmp_path: Path) -> None:
    async with open_base("sqlite-file", tmp_path, FakeClock()) as (base, log):
        await log.append(records(1, 5))
        await base.run(lambda tx: tx.execute("UPDATE log_batches SET body = ?", (b"\xc1garbage",)))
        found = [await lane.read(10, 0) for lane in lanes_of(log)]
    assert [[one.value for one in some] for some in found] == [[b"\xc1garbage"]] * 2


async def test_what_one_lane_had_before_it_was_damaged_is_not_passed_over_for_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_base("sqlite-file", tmp_path, FakeClock()) as (base, log):
        first, second = lanes_of(log)
        await log.append([*one_sided(second.share, 5), *one_sided(first.share, 5, 6)])
        await first.commit((await first.read(10, 0))[-1].position)
        monkeypatch.setattr(sqlite_tail, "TAIL_BYTES", 1)
        await log.append(one_sided(first.share, 1, 11))
        await base.run(lambda tx: tx.execute("UPDATE log_batches SET body = ? WHERE last_offset = 10", (b"\xc1",)))
        assert [one.value for one in await first.read(100, 0)] == [b"\xc1", b"11"]


async def test_lag_is_told_by_one_lane_for_all(engine: Engine, lanes: list[SqliteReader]) -> None:
    await engine.log.append(records(1, 100))
    engine.clock.advance(7)
    assert [await lane.lag() for lane in lanes] == [(100, 7.0), (0, 0.0)]


async def test_after_a_restart_no_lane_misses_a_record(tmp_path: Path) -> None:
    async with open_base("sqlite-file", tmp_path, FakeClock()) as (_, log):
        ahead, behind = lanes_of(log)
        await log.append(records(1, 100))
        await ahead.commit((await ahead.read(1_000, 0))[-1].position)
        left = values(list(await behind.read(1_000, 0)))
    async with open_base("sqlite-file", tmp_path, FakeClock()) as (_, log):
        found = [one for lane in lanes_of(log, 3) for one in await lane.read(1_000, 0)]
    assert set(left) <= set(values(found)), "and with another number of lanes"


async def test_a_lane_nobody_reads_holds_the_group_where_it_is(engine: Engine) -> None:
    alone = engine.log.reader(TOPIC, "a", Share(0, 2))
    await engine.log.append(records(1, 100))
    await alone.commit((await alone.read(1_000, 0))[-1].position)
    assert await engine.log.committed(TOPIC, "a") == 0


class Chance:
    """An engine that is slow when it likes, and lanes that stop to think."""

    def __init__(self, seed: int, base: Database) -> None:
        self.dice = random.Random(seed)
        self._read, self._run = base.read, base.run
        self._commits: dict[SqliteReader, asyncio.Task[None]] = {}

    async def read(self, work: Work[Any]) -> Any:
        await self._pause()
        found = await self._read(work)
        await self._pause()
        return found

    async def run(self, work: Work[Any], *, is_whole: bool = False) -> Any:
        await self._pause()
        result = await self._run(work, is_whole=is_whole)
        await self._pause()
        return result

    async def follow(self, lane: SqliteReader, handled: list[Stored]) -> None:
        """As a pipeline does: commits a batch while the next one is read and handled."""
        committing: asyncio.Task[None] | None = None
        while True:
            found = await lane.read(self.dice.randint(1, 12), 0.005)
            for one in found:
                if not self.dice.randrange(10):
                    await asyncio.sleep(0)
                handled.append(one)
            if found:
                if committing is not None:
                    await committing
                committing = self._commits[lane] = asyncio.create_task(lane.commit(found[-1].position))

    async def end(self, *following: asyncio.Task[None]) -> None:
        """Stop everything in the middle of what it does."""
        for task in (*following, *self._commits.values()):
            task.cancel()
        await asyncio.gather(*following, *self._commits.values(), return_exceptions=True)

    async def _pause(self) -> None:
        if self.dice.random() < 0.3:
            await asyncio.sleep(self.dice.choice([0, 0.001, 0.003]))


@pytest.mark.parametrize("seed", range(24))
async def test_through_any_interleaving_and_any_death_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    # With a small tail most is read from the file.
    monkeypatch.setattr(sqlite_tail, "TAIL_BYTES", dice.choice([16 * 1024 * 1024, 200, 60]))
    keys = dice.choice([20, 20, 3])
    first_told: dict[int, str] = {}
    for is_last in (False, False, True):
        async with open_base("sqlite-file", tmp_path, FakeClock()) as (base, log):
            start = await log.committed(TOPIC, "a")
            chance = Chance(seed, base)
            monkeypatch.setattr(base, "read", chance.read)
            monkeypatch.setattr(base, "run", chance.run)
            handled: list[Stored] = []
            lanes = lanes_of(log, dice.randint(1, 4))
            following = [asyncio.create_task(chance.follow(lane, handled)) for lane in lanes]
            for _ in range(40):
                await log.append(
                    [Record(TOPIC, f"key-{dice.randrange(keys)}", b"1") for _ in range(dice.randint(1, 15))]
                )
                await asyncio.sleep(dice.choice([0, 0, 0.001, 0.006]))
                committed = await log.committed(TOPIC, "a")
                done = {one.position for one in handled}
                assert set(range(start + 1, committed + 1)) <= done, "committed, not handled"
                assert len(done) == len(handled), "given twice"
            if is_last or dice.randrange(2):
                assert await log.settled(TOPIC, "a", 30)
            await chance.end(*following)
            for one in handled:
                first_told.setdefault(one.position, one.key)
    assert set(first_told) == set(range(1, max(first_told) + 1)), "missed"
    for key in set(first_told.values()):
        order = [position for position, its in first_told.items() if its == key]
        assert order == sorted(order), "out of order"

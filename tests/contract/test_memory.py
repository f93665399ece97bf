"""What the cache, the limits and push promise."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.clock import FakeClock
from tasktide.adapters.memory.cache import MemoryCache
from tasktide.adapters.memory.limits import MemoryLimits
from tasktide.adapters.memory.push import MemoryPush
from tasktide.domain.rates import Tier
from tasktide.ports.cache import Snapshot
from tasktide.ports.push import Message

TIERS = (Tier(3, 1), Tier(5, 10))


async def test_a_snapshot_expires() -> None:
    clock = FakeClock()
    cache = MemoryCache(clock)
    await cache.put([Snapshot("k", 9, b"old", 60)])
    clock.advance(60)
    assert await cache.get(["k"]) == {}
    await cache.put([Snapshot("k", 1, b"new", 60)])
    assert await cache.get(["k"]) == {"k": b"new"}


async def test_what_was_kept_together_does_not_expire_together() -> None:
    clock = FakeClock()
    cache = MemoryCache(clock)
    keys = [f"k{n}" for n in range(200)]
    await cache.put([Snapshot(key, 1, b"x", 100) for key in keys])
    clock.advance(89)
    assert len(await cache.get(keys)) == 200
    clock.advance(6)
    assert 20 < len(await cache.get(keys)) < 180
    clock.advance(5)
    assert await cache.get(keys) == {}


@given(sizes=st.lists(st.integers(0, 40), max_size=60))
async def test_the_cache_is_bounded_and_keeps_the_newest(sizes: list[int]) -> None:
    cache = MemoryCache(FakeClock(), entries=10, size_bytes=100)
    for number, size in enumerate(sizes):
        await cache.put([Snapshot(str(number), 1, b"x" * size, 60)])
    kept = await cache.get([str(number) for number in range(len(sizes))])
    assert len(kept) <= 10
    assert sum(map(len, kept.values())) <= 100
    if sizes:
        assert str(len(sizes) - 1) in kept


async def test_all_tiers_hold_at_once() -> None:
    clock = FakeClock()
    limits = MemoryLimits(clock)
    first = [(await limits.hit("a", TIERS)).allowed for _ in range(4)]
    assert first == [True, True, True, False]
    assert (await limits.hit("b", TIERS)).allowed, "another key has its own windows"
    clock.advance(1)
    second = [await limits.hit("a", TIERS) for _ in range(3)]
    assert [verdict.allowed for verdict in second] == [True, True, False]
    assert second[-1].tightest.tier == TIERS[1]
    assert second[-1].tightest.reset_s == pytest.approx(9)
    clock.advance(9)
    assert (await limits.hit("a", TIERS)).allowed


async def test_a_refused_request_is_counted_nowhere() -> None:
    clock = FakeClock()
    limits = MemoryLimits(clock)
    for _ in range(100):
        verdict = await limits.hit("a", TIERS)
    assert [usage.remaining for usage in verdict.usage] == [0, 2]


async def test_limits_forget_the_key_not_seen_for_longest() -> None:
    limits = MemoryLimits(FakeClock(), keys=2)
    for key in ("a", "b", "a", "c"):
        await limits.hit(key, TIERS)
    assert (await limits.hit("a", TIERS)).usage[0].remaining == 0
    assert (await limits.hit("b", TIERS)).usage[0].remaining == 2


async def test_push_reaches_each_listener_in_order() -> None:
    push = MemoryPush()
    one, two = await push.subscribe(["a"]), await push.subscribe(["a", "b"])
    await push.publish([Message("a", b"1", 1), Message("b", b"2", 2), Message("c", b"3", 3), Message("a", b"4", 4)])
    assert [m.cursor for m in await one.read() or ()] == [1, 4]
    assert [m.cursor for m in await two.read() or ()] == [1, 2, 4]
    assert await push.listening(["a", "b", "c"]) == {"a", "b"}
    two.close()
    two.close()
    assert await push.listening(["a", "b", "c"]) == {"a"}


async def test_a_loss_is_announced_once_and_the_publisher_never_waits() -> None:
    push = MemoryPush(buffer=3)
    slow = await push.subscribe(["a"])
    for number in range(10):
        await push.publish([Message("a", b"", number)])
    assert await slow.read() is None
    await push.publish([Message("a", b"", 99)])
    assert [m.cursor for m in await slow.read() or ()] == [99]


async def test_reading_waits_for_a_message() -> None:
    push = MemoryPush()
    listener = await push.subscribe(["a"])
    reading = asyncio.create_task(listener.read())
    await asyncio.sleep(0)
    assert not reading.done()
    await push.publish([Message("a", b"", 1)])
    assert [m.cursor for m in await reading or ()] == [1]

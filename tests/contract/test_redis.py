"""What cache, limits, ids, sessions and push promise, on a real Redis; `flush` is what it forgets all by."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support import make
from support import redis as test_redis
from support.clock import FakeClock
from support.engines import open_engine
from support.proxy import Proxy
from tasktide.adapters.memory.limits import MemoryLimits
from tasktide.adapters.memory.push import MemoryPush
from tasktide.adapters.prometheus.metrics import PrometheusMetrics
from tasktide.adapters.redis import limits as redis_limits
from tasktide.adapters.redis import push as redis_push
from tasktide.adapters.redis.cache import RedisCache
from tasktide.adapters.redis.client import Client
from tasktide.adapters.redis.ids import RedisIds
from tasktide.adapters.redis.limits import RedisLimits
from tasktide.adapters.redis.push import RedisPush
from tasktide.adapters.redis.sessions import RedisSessions
from tasktide.domain.rates import Tier
from tasktide.domain.times import later
from tasktide.domain.users import Session
from tasktide.ports.cache import Snapshot
from tasktide.ports.push import Message, Subscription

TIERS = (Tier(3, 1), Tier(5, 10))
# Nobody listens there.
NOWHERE = "redis://127.0.0.1:9/0"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with test_redis.open_client() as opened:
        yield opened


@pytest.fixture
async def away() -> AsyncIterator[Client]:
    opened = Client(NOWHERE)
    yield opened
    await opened.close()


async def heard(listener: Subscription, count: int) -> list[int]:
    """The cursors of the next messages."""
    found: list[int] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            messages = await listener.read()
            found += [] if messages is None else [message.cursor for message in messages]
    return found


async def settled(listener: Subscription) -> None:
    """Past the word that something may have been lost, which a new connection begins with."""
    try:
        async with asyncio.timeout(0.3):
            while True:
                await listener.read()
    except TimeoutError:
        return


async def test_a_snapshot_expires(client: Client) -> None:
    cache = RedisCache(client)
    await cache.put([Snapshot("k", 9, b"old", 0.05)])
    await asyncio.sleep(0.1)
    assert await cache.get(["k"]) == {}
    await cache.put([Snapshot("k", 1, b"new", 60)])
    assert await cache.get(["k"]) == {"k": b"new"}


async def test_what_was_kept_together_does_not_expire_together(client: Client) -> None:
    cache = RedisCache(client)
    keys = [f"k{n}" for n in range(100)]
    await cache.put([Snapshot(key, 1, b"x", 100) for key in keys])
    left_ms = [await client.call("PTTL", client.key(key)) for key in keys]
    assert all(89_000 < one <= 100_000 for one in left_ms)
    assert max(left_ms) - min(left_ms) > 3_000


async def test_calls_of_one_tick_are_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = RedisCache(client)
    calls: list[object] = []
    execute = client.redis.execute_command

    async def counting(*command: object) -> object:
        calls.append(command[0])
        return await execute(*command)

    monkeypatch.setattr(client.redis, "execute_command", counting)
    await asyncio.gather(*(cache.put([Snapshot(str(n), 1, b"%d" % n, 60)]) for n in range(100)))
    found = await asyncio.gather(*(cache.get([str(n)]) for n in range(100)))
    assert found == [{str(n): b"%d" % n} for n in range(100)]
    assert calls.count("MGET") == 1
    assert len(calls) <= 4


async def test_a_cache_that_is_away_is_empty(away: Client) -> None:
    cache = RedisCache(away)
    await cache.put([Snapshot("k", 1, b"x", 60)])
    assert await cache.get(["k"]) == {}
    await cache.drop(["k"])


async def test_what_is_begun_is_there_once_it_was_waited_for(client: Client) -> None:
    here, there = RedisCache(client), RedisCache(client)
    keeping = here.begin_put([Snapshot(f"k{n}", 1, b"%d" % n, 60) for n in range(1_500)])
    await here.put([Snapshot("k0", 2, b"two", 60)])
    assert keeping is not None
    await keeping
    assert await there.get(["k0", "k1499", "none"]) == {"k0": b"two", "k1499": b"1499"}
    await here.close()


async def test_what_could_not_be_written_is_not_read_as_it_was(client: Client) -> None:
    address = urlsplit(test_redis.url())
    with Proxy(address.port or 6379) as proxy:
        behind = Client(f"redis://127.0.0.1:{proxy.port}{address.path}", prefix=client.prefix)
        here, there = RedisCache(behind), RedisCache(client)
        await there.put([Snapshot("k", 1, b"old", 60), Snapshot("l", 1, b"old", 60)])
        proxy.is_cut = True
        await here.put([Snapshot("k", 2, b"new", 60)])
        await here.drop(["l"])
        assert await there.get(["k", "l"]) == {"k": b"old", "l": b"old"}, "it could not be written"
        proxy.is_cut = False
        async with asyncio.timeout(5):
            while await there.get(["k", "l"]):
                await asyncio.sleep(0.05)
        await here.close()
        await behind.close()


async def test_far_from_the_limits_nobody_waits_and_all_are_counted(client: Client) -> None:
    metrics = PrometheusMetrics()
    one = RedisLimits(client, MemoryLimits(FakeClock()), metrics)
    two = RedisLimits(client, MemoryLimits(FakeClock()), metrics)
    tiers = (Tier(1_000, 60), Tier(2_000, 120))
    assert one.hit_now("a", tiers) is None, "nobody has asked yet"
    assert (await one.hit("a", tiers)).usage[0].remaining == 999
    told = [one.hit_now("a", tiers) for _ in range(200)]
    assert [verdict.usage[0].remaining for verdict in told if verdict] == list(range(998, 798, -1))
    async with asyncio.timeout(5):
        while (await two.hit("a", tiers)).usage[0].remaining > 797:
            await asyncio.sleep(0.05)
    # Near a limit each one asks, so that it holds to the request.
    passed = [one.hit_now("a", tiers) or await one.hit("a", tiers) for _ in range(1_000)]
    left = (await two.hit("a", tiers)).usage[0].remaining
    assert sum(verdict.allowed for verdict in passed) + 201 <= 1_000
    assert (left, passed[-1].allowed) == (0, False)
    await one.close()
    await two.close()


async def test_what_is_being_counted_is_not_forgotten(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RedisLimits(client, MemoryLimits(FakeClock()), PrometheusMetrics())
    tiers = (Tier(1_000, 60),)
    await limits.hit("a", tiers)
    held = asyncio.Event()
    script = client.script

    async def slow(name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        if arguments[-1] > 0:  # those that have passed
            await held.wait()
        return await script(name, keys, arguments)

    monkeypatch.setattr(client, "script", slow)
    assert all(limits.hit_now("a", tiers) for _ in range(400))
    await asyncio.sleep(0.05)
    assert (await limits.hit("a", tiers)).allowed
    verdict = limits.hit_now("a", tiers)
    assert verdict is not None
    assert verdict.usage[0].remaining == 597
    held.set()
    await limits.close()


async def test_a_few_pass_on_an_old_count_and_the_rest_ask(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RedisLimits(client, MemoryLimits(FakeClock()), PrometheusMetrics())
    tiers = (Tier(1_000, 60),)
    await limits.hit("a", tiers)
    monkeypatch.setattr(redis_limits, "FRESH_S", 0.01)
    await asyncio.sleep(0.02)
    # Another gateway may have let a thousand in since.
    assert sum(limits.hit_now("a", tiers) is not None for _ in range(100)) == redis_limits.FEW
    monkeypatch.setattr(redis_limits, "KNOWN_S", 0.01)
    await limits.hit("b", tiers)
    await asyncio.sleep(0.02)
    assert limits.hit_now("b", tiers) is None
    await limits.close()


async def test_all_tiers_hold_at_once_over_all_gateways(client: Client) -> None:
    metrics = PrometheusMetrics()
    one = RedisLimits(client, MemoryLimits(FakeClock()), metrics)
    two = RedisLimits(client, MemoryLimits(FakeClock()), metrics)
    allowed = [(await limits.hit("a", TIERS)).allowed for limits in (one, two, one, two)]
    assert allowed == [True, True, True, False]
    assert (await one.hit("b", TIERS)).allowed, "another key has its own windows"
    await asyncio.sleep(1.05)
    verdicts = await asyncio.gather(*(one.hit("a", TIERS) for _ in range(3)))
    assert sorted(verdict.allowed for verdict in verdicts) == [False, True, True]
    assert verdicts[-1].tightest.tier == TIERS[1]
    assert 7 < verdicts[-1].tightest.reset_s < 9
    assert [usage.remaining for usage in verdicts[-1].usage] == [1, 0], "a refused request is counted nowhere"


async def test_limits_are_local_while_redis_is_away(away: Client) -> None:
    metrics = PrometheusMetrics()
    limits = RedisLimits(away, MemoryLimits(FakeClock()), metrics)
    assert [(await limits.hit("a", TIERS)).allowed for _ in range(4)] == [True, True, True, False]
    assert b'tasktide_degraded{what="limits"} 1.0' in metrics.render("")[0]


async def test_ids_never_repeat_though_redis_forgets_and_goes_away(
    client: Client, away: Client, tmp_path: Path
) -> None:
    async with open_engine("sqlite-file", tmp_path) as engine:
        taken: list[int] = []
        for turn in range(6):
            one = RedisIds(client, engine.ids, block=3, ceiling=20)
            two = RedisIds(client, engine.ids, block=3, ceiling=20)
            ranges = await asyncio.gather(*(ids.take("tasks", n) for ids in (one, two) for n in (1, 2, 5, 30)))
            taken += [number for some in ranges for number in some]
            if turn % 2:
                await test_redis.flush(client)
            taken += await RedisIds(away, engine.ids).take("tasks", 4)
    assert len(taken) == len(set(taken))


async def test_ids_grow_when_redis_comes_back(client: Client, tmp_path: Path) -> None:
    async with open_engine("sqlite-file", tmp_path) as engine:
        ids = RedisIds(client, engine.ids, block=3, ceiling=20)
        taken = list(await ids.take("tasks", 3))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "script", Client(NOWHERE).script)
            taken += await ids.take("tasks", 30)
        for _ in range(5):
            taken += await ids.take("tasks", 3)
    assert taken == sorted(set(taken))


async def test_ids_of_another_run_of_redis_are_not_gone_on_with(client: Client, tmp_path: Path) -> None:
    async with open_engine("sqlite-file", tmp_path) as engine:
        taken = list(await RedisIds(client, engine.ids, block=3, ceiling=20).take("tasks", 3))
        # As a replica or an old snapshot brings it back.
        await client.redis.hset(client.key("ids:tasks"), mapping={"next": 1, "run": "another"})
        taken += await RedisIds(client, engine.ids, block=3, ceiling=20).take("tasks", 3)
    assert len(set(taken)) == 6


async def test_a_session_is_read_through_and_dead_once_it_is_closed(client: Client, tmp_path: Path) -> None:
    async with open_engine("sqlite-file", tmp_path) as engine:
        now = engine.clock.now()
        one, two = RedisSessions(client, engine.sessions), RedisSessions(client, engine.sessions)
        session = Session(id="s", user_id=make.BOB.user_id, expires_at=later(now, 60))
        await one.open(session)
        assert await two.get("s", now) == session
        await test_redis.flush(client)
        assert await two.get("s", now) == session, "the store is the truth"
        assert await two.get("s", later(now, 61)) is None
        await one.close("s")
        assert await two.get("s", now) is None
        await one.open(session)
        assert await two.close_others(make.BOB.user_id, "other") == ["s"]
        assert await one.get("s", now) is None


async def test_push_reaches_listeners_of_every_process_in_order(client: Client) -> None:
    one, two = RedisPush(client, MemoryPush()), RedisPush(client, MemoryPush())
    try:
        here, there = await one.subscribe(["a"]), await two.subscribe(["a", "b"])
        await asyncio.gather(*(push.publish([Message("nobody", b"", 1)]) for push in (one, two)))
        await asyncio.gather(settled(here), settled(there))
        messages = [Message("a", b"x", 1), Message("b", b"y", 2), Message("c", b"z", 3), Message("a", b"\xff", 4)]
        await one.publish(messages)
        assert await heard(here, 2) == [1, 4]
        assert await heard(there, 3) == [1, 2, 4]
        assert await one.listening(["a", "b", "c"]) == {"a", "b"}
        there.close()
        there.close()
        async with asyncio.timeout(5):
            while await one.listening(["b"]):
                await asyncio.sleep(0.01)
        assert await two.listening(["a"]) == {"a"}
    finally:
        await one.close()
        await two.close()


async def test_listeners_are_told_of_a_loss_when_redis_forgets(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_push, "LOOK_S", 0.05)
    one, two = RedisPush(client, MemoryPush()), RedisPush(client, MemoryPush())
    try:
        listener = await two.subscribe(["a"])
        await settled(listener)
        await test_redis.flush(client)
        async with asyncio.timeout(5):
            while await listener.read() is not None:
                continue
        await one.publish([Message("a", b"x", 7)])
        assert await heard(listener, 1) == [7]
    finally:
        await one.close()
        await two.close()


async def test_while_redis_is_away_listeners_here_hear_and_are_told_to_ask(
    away: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_push, "LOOK_S", 0.2)
    push = RedisPush(away, MemoryPush())
    try:
        listener = await push.subscribe(["a"])
        assert await push.listening(["a", "b"]) == {"a"}
        found: list[int] = []
        async with asyncio.timeout(5):
            while found != [1]:
                await push.publish([Message("a", b"x", 1)])
                found = [message.cursor for message in await listener.read() or ()]
            assert await listener.read() is None
            assert await listener.read() is None
    finally:
        await push.close()


async def test_who_comes_while_the_last_listener_goes_is_heard_of_or_told_of_a_loss(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = RedisPush(client, MemoryPush()), RedisPush(client, MemoryPush())
    leave, may_leave, left = here._leave, asyncio.Event(), asyncio.Event()

    async def slow_leave(channels: Sequence[str]) -> None:
        pipeline, execute = type(client.redis.pipeline()), type(client.redis.pipeline()).execute

        async def late(self: Any, *args: Any, **named: Any) -> Any:
            await may_leave.wait()
            return await execute(self, *args, **named)

        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "execute", late)
            await leave(channels)
        left.set()

    try:
        first = await here.subscribe(["user:1"])
        monkeypatch.setattr(here, "_leave", slow_leave)
        first.close()
        await asyncio.sleep(0)
        second = await here.subscribe(["user:1"])
        may_leave.set()
        await left.wait()
        async with asyncio.timeout(5):
            assert await second.read() is None, "what came in between may be missing"
            assert await there.listening(["user:1"]) == {"user:1"}
        second.close()
    finally:
        await here.close()
        await there.close()


async def test_nobody_hears_a_message_before_the_word_that_one_before_it_was_lost(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hears of the later one alone believes to have heard all up to it."""
    one, two = RedisPush(client, MemoryPush()), RedisPush(client, MemoryPush())
    try:
        listener = await two.subscribe(["a"])
        await settled(listener)
        for number in range(1, 20, 2):
            with monkeypatch.context() as patched:
                patched.setattr(client, "_away_until", time.monotonic() + 60)
                await one.publish([Message("a", b"lost", number)])
            await one.publish([Message("a", b"heard", number + 1)])
            async with asyncio.timeout(5):
                assert await listener.read() is None
    finally:
        await one.close()
        await two.close()


async def test_who_takes_over_from_a_killed_publisher_says_first_what_that_one_may_have_lost(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = RedisPush(client, MemoryPush())
    publishers = [RedisPush(client, MemoryPush())]
    try:
        listener = await two.subscribe(["a"])
        await publishers[0].publish([Message("nobody", b"", 1)])
        await settled(listener)
        with monkeypatch.context() as patched:
            patched.setattr(client, "_away_until", time.monotonic() + 60)
            await publishers[0].publish([Message("a", b"lost", 1)])
            await publishers[0].close()  # and says nothing more, as if it had been killed
        publishers.append(RedisPush(client, MemoryPush()))
        await publishers[1].publish([Message("a", b"heard", 2)])
        async with asyncio.timeout(5):
            assert await listener.read() is None
    finally:
        for push in (two, *publishers):
            await push.close()


async def test_nobody_hears_what_comes_while_redis_is_told_anew_who_listens(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_push, "LOOK_S", 0.02)
    one, two = RedisPush(client, MemoryPush()), RedisPush(client, MemoryPush())
    say = two._say_all

    async def say_slowly(channels: list[str]) -> Sequence[None]:
        said = await say(channels)
        await asyncio.sleep(0.1)  # Redis knows, and we do not know yet that it does
        return said

    try:
        listener = await two.subscribe(["a"])
        await settled(listener)
        monkeypatch.setattr(two, "_say_all", say_slowly)
        for number in range(5):
            await test_redis.flush(client)
            async with asyncio.timeout(5):
                while not await one.listening(["a"]):
                    await one.publish([Message("a", b"lost", 10 * number + 1)])
                await one.publish([Message("a", b"heard", 10 * number + 2)])
                assert await listener.read() is None
                while await one.listening(["a"]) and two._is_saying:
                    await asyncio.sleep(0.01)
            await settled(listener)
    finally:
        await one.close()
        await two.close()


async def test_push_can_be_closed_at_any_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library swallows a cancellation now and then; who waited for the end of the task waited for ever."""
    monkeypatch.setattr(redis_push, "LOOK_S", 0.005)
    for turn in range(120):
        one = Client(test_redis.url(), "test-closing:")
        push = RedisPush(one, MemoryPush())
        await asyncio.sleep(0.0005 * (turn % 40))
        async with asyncio.timeout(5):
            await push.close()
        await one.close()

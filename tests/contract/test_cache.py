"""The patterns of caching, on each engine; what expires is tested with each engine's own clock."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from support import make
from support import redis as test_redis
from support.clock import FakeClock
from support.engines import Engine, open_engine
from support.pipelines import notifications
from tasktide.adapters.memory.cache import MemoryCache
from tasktide.adapters.redis.cache import RedisCache
from tasktide.adapters.redis.client import Client
from tasktide.adapters.security.passwords import Argon2Passwords
from tasktide.adapters.security.tokens import JwtTokens
from tasktide.domain.users import Role
from tasktide.ports.cache import Cache, SingleFlight, Snapshot, Tag
from tasktide.usecases.users import Users


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache(FakeClock())
        return
    async with test_redis.open_client() as client:
        yield RedisCache(client)


@pytest.fixture
async def engine(cache: Cache, tmp_path: Path) -> AsyncIterator[Engine]:
    """The stores behind a cache."""
    async with open_engine("sqlite-memory", tmp_path) as opened:
        yield replace(opened, cache=cache)


def gateway(engine: Engine) -> Users:
    """One of several that share stores and cache."""
    return Users(
        store=engine.users,
        sessions=engine.sessions,
        tokens=JwtTokens("a secret of thirty-two characters", engine.clock),
        passwords=Argon2Passwords(),
        cache=engine.cache,
        push=engine.push,
        ids=engine.ids,
        clock=engine.clock,
        token_lifetime_s=60,
        name_length=100,
    )


async def listed(users: Users) -> list[tuple[str, Role]]:
    return [(user.name, user.role) for user in (await users.find(None, 10)).items]


async def test_cache_aside_what_was_loaded_is_not_loaded_again(engine: Engine) -> None:
    users = gateway(engine)
    await engine.users.add(make.account(1))
    assert await listed(users) == [("User 1", Role.ADMIN)]
    await engine.users.add(make.account(2))  # behind the cache's back
    assert await listed(users) == await listed(gateway(engine)) == [("User 1", Role.ADMIN)]


async def test_write_through_what_was_written_is_there_before_anybody_asks(engine: Engine) -> None:
    chosen = await notifications(engine).prefer(make.BOB, {"email": {"message": True}})
    key = f"user:{make.BOB.user_id}:preferences"
    assert await engine.cache.get([key]) == {key: msgspec.json.encode(chosen)}


async def test_versioned_keys_a_newer_snapshot_stays(cache: Cache) -> None:
    await cache.put([Snapshot("k", 2, b"two", 60)])
    await cache.put([Snapshot("k", 1, b"one", 60), Snapshot("other", 1, b"", 60)])
    assert await cache.get(["k", "other", "none"]) == {"k": b"two", "other": b""}
    await cache.put([Snapshot("k", 2, b"again", 60)])
    assert await cache.get(["k"]) == {"k": b"again"}
    await cache.put([Snapshot("k", 2**53 - 1, b"last", 60)])
    await cache.put([Snapshot("k", 2**53 - 2, b"no", 60)])
    assert await cache.get(["k"]) == {"k": b"last"}
    await cache.drop(["k", "none"])
    assert await cache.get(["k"]) == {}


async def test_tag_invalidation_all_under_a_tag_goes_at_once_and_for_good(cache: Cache) -> None:
    tag, other = Tag(cache, "users"), Tag(cache, "others")
    before = await tag.mark()
    assert await Tag(cache, "users").mark() == before, "whoever shares the cache sees the same entries"
    kept = await other.mark()
    assert kept != before
    await tag.invalidate()
    after = await tag.mark()
    assert after != before
    assert await other.mark() == kept
    await tag.invalidate()
    assert await tag.mark() not in {before, after}, "what was loaded meanwhile is kept where nobody looks"


async def test_tag_invalidation_every_gateway_lists_what_any_of_them_changed(engine: Engine) -> None:
    first, second = gateway(engine), gateway(engine)
    await first.register("ann@example.org", "Ann", "correct horse battery")
    assert await listed(first) == await listed(second) == [("Ann", Role.ADMIN)]
    bob = await second.register("bob@example.org", "Bob", "correct horse battery")
    both = [("Ann", Role.ADMIN), ("Bob", Role.MEMBER)]
    assert await listed(first) == await listed(second) == both
    await first.change_role(make.ADMIN, bob.id, Role.ADMIN)
    assert await listed(second) == [("Ann", Role.ADMIN), ("Bob", Role.ADMIN)]


async def test_single_flight_one_loader_a_key_whoever_asks() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    begun: list[str] = []
    go = asyncio.Event()

    async def load(key: str) -> int:
        begun.append(key)
        await go.wait()
        if key == "bad":
            raise ValueError(key)
        return len(begun)

    asked = [asyncio.create_task(flight.once(key, partial(load, key))) for key in ["a", "a", "b", "bad", "bad", "a"]]
    await asyncio.sleep(0)
    asked[0].cancel()  # who stops waiting stops nobody else
    await asyncio.sleep(0)
    go.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert begun == ["a", "b", "bad"]
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] == results[5] == 3
    assert all(isinstance(results[n], ValueError) for n in (3, 4))
    assert await flight.once("a", partial(load, "a")) == 4, "the next one loads anew"


async def test_while_the_cache_is_away_one_loader_answers_all_and_nothing_is_owed(tmp_path: Path) -> None:
    away = Client("redis://127.0.0.1:9/0")
    cache = RedisCache(away)
    async with open_engine("sqlite-memory", tmp_path) as opened:
        users = gateway(replace(opened, cache=cache))
        await opened.users.add(make.account(1))
        found = await asyncio.gather(*(users.find(None, 10) for _ in range(20)))
        assert all(page is found[0] for page in found), "loaded once"
        assert await Tag(cache, "users").mark() is None
        assert set(cache._owed) == {"tag:users"}
    await cache.close()
    await away.close()

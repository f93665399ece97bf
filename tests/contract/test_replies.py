"""What every memory of replies promises."""

import asyncio
from pathlib import Path

import pytest

from support.engines import LASTING, Engine, open_engine
from tasktide.domain.errors import Unavailable
from tasktide.domain.replies import Claim, Reply
from tasktide.domain.times import later

REPLY = Reply(202, {"location": "/tasks/5"}, b'{"id":5}')


async def test_a_key_is_free_then_running_then_answered(engine: Engine) -> None:
    expires = later(engine.clock.now(), 60)
    assert await engine.replies.claim("k", b"d", 5, expires) is None
    assert await engine.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5, running=True)
    await engine.replies.settle("k", REPLY)
    assert await engine.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5, reply=REPLY)
    assert await engine.replies.claim("other", b"d", 9, expires) is None


async def test_of_many_claims_at_once_one_is_won(engine: Engine) -> None:
    expires = later(engine.clock.now(), 60)
    claims = await asyncio.gather(*(engine.replies.claim("k", b"d", n, expires) for n in range(5)))
    assert claims[0] is None
    assert all(claim is not None and claim.running for claim in claims[1:])
    await engine.replies.release("k", forget=False)
    claims = await asyncio.gather(*(engine.replies.claim("k", b"d", 9, expires) for _ in range(3)))
    assert [claim is not None and claim.running for claim in claims] == [False, True, True]
    other = await engine.replies.claim("k", b"x", 9, expires)
    assert other is not None
    assert other.digest == b"d"


async def test_a_released_key_is_taken_over_with_its_ids_or_forgotten(engine: Engine) -> None:
    expires = later(engine.clock.now(), 60)
    await engine.replies.claim("k", b"d", 5, expires)
    await engine.replies.release("k", forget=False)
    assert await engine.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5)
    assert await engine.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5, running=True)
    await engine.replies.release("k", forget=True)
    assert await engine.replies.claim("k", b"d", 9, expires) is None


async def test_a_key_whose_end_could_not_be_written_is_not_running(engine: Engine) -> None:
    expires = later(engine.clock.now(), 60)
    await engine.replies.claim("k", b"d", 5, expires)

    async def full() -> None:
        raise Unavailable("store", "the disk is full")

    engine.interposed.before = full
    with pytest.raises(Unavailable):
        await engine.replies.release("k", forget=False)
    engine.interposed.before = None
    assert await engine.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5)


async def test_an_expired_key_is_free(engine: Engine) -> None:
    await engine.replies.claim("k", b"d", 5, later(engine.clock.now(), 60))
    await engine.replies.settle("k", REPLY)
    engine.clock.advance(61)
    assert await engine.replies.claim("k", b"x", 6, later(engine.clock.now(), 60)) is None
    engine.clock.advance(61)
    assert await engine.replies.purge(engine.clock.now()) == 1


@pytest.mark.parametrize("name", LASTING)
async def test_the_key_of_a_dead_process_is_taken_over_with_its_ids(tmp_path: Path, name: str) -> None:
    async with open_engine(name, tmp_path) as first:
        expires = later(first.clock.now(), 600)
        await first.replies.claim("k", b"d", 5, expires)
    async with open_engine(name, tmp_path, again=True) as second:
        if name == "postgres":  # where another process may own the key, it is given time to answer
            assert await second.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5, running=True)
            second.clock.advance(61)
        other_body = await second.replies.claim("k", b"x", 9, expires)
        assert other_body == Claim(digest=b"d", first_id=5)
        assert await second.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5)
        assert await second.replies.claim("k", b"d", 9, expires) == Claim(digest=b"d", first_id=5, running=True)

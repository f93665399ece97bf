"""What one wants keeps nobody else waiting."""

import asyncio

import pytest

from tasktide.domain.errors import Unavailable
from tasktide.ports.turns import Turns


async def test_each_does_so_many_things_at_once_and_the_rest_in_order() -> None:
    turns: Turns[str] = Turns(2, waiting=10, patience_s=10)
    open_, order = asyncio.Event(), []

    async def one(who: str, number: int) -> None:
        async with turns.of(who):
            order.append((who, number))
            await open_.wait()

    tasks = [asyncio.create_task(one("greedy", number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(one("other", 0))]
    await asyncio.sleep(0)
    assert order == [("greedy", 0), ("greedy", 1), ("other", 0)]
    open_.set()
    await asyncio.gather(*tasks)
    assert [number for who, number in order if who == "greedy"] == [0, 1, 2, 3, 4]


async def test_more_than_may_wait_is_refused_until_there_is_room() -> None:
    turns: Turns[str] = Turns(1, waiting=1, patience_s=10)
    open_ = asyncio.Event()

    async def one() -> None:
        async with turns.of("me"):
            await open_.wait()

    tasks = [asyncio.create_task(one()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await one()
    tasks.pop().cancel()  # who gives up leaves room
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(one()))
    await asyncio.sleep(0)
    open_.set()
    await asyncio.gather(*tasks)
    await one()


async def test_who_has_waited_for_too_long_is_refused_and_leaves_no_trace() -> None:
    turns: Turns[str] = Turns(1, waiting=1, patience_s=0.01)
    async with turns.of("me"):
        with pytest.raises(Unavailable):
            async with turns.of("me"):
                raise AssertionError("there is no place")
    async with turns.of("me"):
        pass

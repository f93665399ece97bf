"""What every source of ids promises."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.engines import LASTING, Engine, open_engine
from support.waiting import until
from tasktide.domain.errors import Unavailable
from tasktide.ports.ids import Leased


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(1, 25), min_size=1, max_size=20))
async def test_take_never_repeats_and_grows(tmp_path: Path, counts: list[int]) -> None:
    async with open_engine("sqlite-memory", tmp_path) as engine:
        taken = [number for count in counts for number in await engine.ids.take("tasks", count)]
    assert len(taken) == sum(counts)
    assert taken == sorted(set(taken))
    assert taken[0] == 1


async def test_takers_at_once_share_nothing(engine: Engine) -> None:
    ranges = await asyncio.gather(*(engine.ids.take("tasks", 3) for _ in range(50)))
    numbers = [number for one in ranges for number in one]
    assert len(set(numbers)) == 150
    assert all(len(one) == 3 and one[-1] - one[0] == 2 for one in ranges)


async def test_what_is_left_of_a_block_goes_on_into_the_next(engine: Engine) -> None:
    assert list(await engine.ids.take("tasks")) == [1]
    assert await engine.ids.take("tasks", 25) == range(2, 27)
    assert await engine.ids.take("tasks", 3) == range(27, 30)


async def test_names_count_apart(engine: Engine) -> None:
    assert list(await engine.ids.take("tasks")) == [1]
    assert list(await engine.ids.take("users")) == [1]


@pytest.mark.parametrize("name", LASTING)
async def test_a_new_process_and_a_second_one_take_others(tmp_path: Path, name: str) -> None:
    async with open_engine(name, tmp_path) as first:
        taken = set(await first.ids.take("tasks", 4))
        async with open_engine(name, tmp_path, again=True) as second:
            taken |= set(await second.ids.take("tasks", 4))
        taken |= set(await first.ids.take("tasks", 9))
    async with open_engine(name, tmp_path, again=True) as third:
        taken |= set(await third.ids.take("tasks", 4))
    assert len(taken) == 21


async def test_a_number_is_at_hand_when_some_are_leased(engine: Engine) -> None:
    assert not engine.ids.has("tasks")
    first = (await engine.ids.take("tasks"))[0]
    at_hand = []
    while engine.ids.has("tasks"):
        at_hand.append(engine.ids.take_now("tasks"))
    assert at_hand == list(range(first + 1, first + 10))
    with pytest.raises(LookupError):
        engine.ids.take_now("tasks")
    assert (await engine.ids.take("tasks"))[0] > first + 9


async def test_the_next_block_is_leased_before_the_last_one_is_used_up(engine: Engine) -> None:
    async def is_at_hand() -> bool:
        return engine.ids.has("tasks")

    taken = list(await engine.ids.take("tasks"))
    for _ in range(50):
        await until(is_at_hand)  # with no call that would wait for it
        taken.append(engine.ids.take_now("tasks"))
    assert taken == sorted(set(taken))


async def test_a_lease_ahead_that_fails_is_told_to_who_needs_it() -> None:
    blocks = iter([range(1, 9), None, None, range(9, 17), range(17, 25)])

    async def lease(_name: str, count: int) -> range:
        block = next(blocks)
        if block is None:
            raise Unavailable("store", "away")
        assert len(block) == count
        return block

    ids = Leased(lease, 8)
    assert await ids.take("tasks", 7) == range(1, 8)
    await asyncio.sleep(0)  # the lease ahead fails
    assert ids.take_now("tasks") == 8
    with pytest.raises(Unavailable):
        await ids.take("tasks")
    assert [(await ids.take("tasks"))[0] for _ in range(16)] == list(range(9, 25))


async def test_one_block_is_leased_ahead_however_many_ask() -> None:
    leased: list[range] = []
    go_on = asyncio.Event()

    async def lease(_name: str, count: int) -> range:
        if leased:
            await go_on.wait()
        leased.append(range(len(leased) * 100 + 1, len(leased) * 100 + 1 + count))
        return leased[-1]

    ids = Leased(lease, 8)
    first = await ids.take("tasks", 8)
    waiting = [asyncio.create_task(ids.take("tasks")) for _ in range(5)]
    await asyncio.sleep(0.01)
    go_on.set()
    others = [await one for one in waiting]
    assert (list(first), [one[0] for one in others]) == (list(range(1, 9)), [101, 102, 103, 104, 105])
    assert len(leased) == 2


async def test_who_takes_whole_blocks_leaves_no_old_one_lying() -> None:
    leased: list[range] = []

    async def lease(_name: str, count: int) -> range:
        leased.append(range(len(leased) * 100 + 1, len(leased) * 100 + 1 + count))
        return leased[-1]

    ids = Leased(lease, 8)
    assert await ids.take("tasks", 20) == range(1, 21)
    await asyncio.sleep(0.01)
    leased.append(range(0))  # somebody else's
    assert await ids.take("tasks", 8) == range(201, 209)

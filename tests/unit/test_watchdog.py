"""Coarse time limits."""

import asyncio

import pytest

from tasktide.interfaces.watchdog import Watchdog


async def test_what_is_in_time_passes_and_what_is_late_is_cut_off() -> None:
    watchdog = Watchdog(0.05)

    async def quick() -> str:
        return "done"

    assert await watchdog.watch(quick()) == "done"
    never = asyncio.Event()
    with pytest.raises(TimeoutError):
        await watchdog.watch(never.wait())
    assert await watchdog.watch(quick()) == "done", "the task that was cut off goes on"
    late = [asyncio.create_task(watchdog.watch(never.wait())) for _ in range(20)]
    outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert [type(one) for one in outcomes] == [TimeoutError] * 20


async def test_somebody_elses_cancellation_is_passed_on() -> None:
    task = asyncio.create_task(Watchdog(10).watch(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

"""Waits for what nobody announces: by looking again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable

WITHIN_S = 20


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Until it holds; TimeoutError when it does not."""
    async with asyncio.timeout(WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.002)


def eventually(condition: Callable[[], object]) -> None:
    """The same for those who do not run on an event loop."""
    end = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {WITHIN_S} seconds"
        time.sleep(0.05)

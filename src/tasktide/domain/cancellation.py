"""Which of the two that asyncio tells alike: we are cancelled, or what we wait for is."""

import asyncio


def is_cancelled(error: BaseException) -> bool:
    """Whether the error ends the running task because that was cancelled, and not something that it waited for."""
    running = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and running is not None and running.cancelling() > 0

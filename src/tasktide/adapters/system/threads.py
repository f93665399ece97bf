"""Daemon threads for handlers that are plain functions."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable
from typing import Any

import structlog

from tasktide.ports.threads import OutOfTime


class _Raised:
    """What a function raised, carried as a value: StopIteration cannot be set on a future."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class HandlerFailed(Exception):
    """Stands for an exception that a coroutine may not raise; it reads the same."""


class DaemonThreads:
    """`ports.threads.Threads`: a thread a call, which costs about 50 microseconds and can be left behind."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._turns = asyncio.Semaphore(size)
        self._numbers = itertools.count(1)
        self._left_behind = 0

    async def run(self, function: Callable[..., Any], payload: Any, context: Any, timeout_s: float) -> Any:
        """See the port."""
        async with self._turns:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[Any] = loop.create_future()

            def settle(outcome: Any) -> None:
                if not future.done():
                    future.set_result(outcome)

            def work() -> None:
                try:
                    outcome = function(payload, context)
                except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                    outcome = _Raised(error)
                with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                    loop.call_soon_threadsafe(settle, outcome)

            threading.Thread(target=work, name=f"handler-{next(self._numbers)}", daemon=True).start()
            done, _ = await asyncio.wait([future], timeout=timeout_s)
            if not done:
                self._left_behind += 1
                structlog.get_logger("worker").warning("thread left behind", total=self._left_behind)
                raise OutOfTime
        outcome = future.result()
        if isinstance(outcome, _Raised):
            if isinstance(outcome.error, StopIteration | StopAsyncIteration | GeneratorExit | asyncio.CancelledError):
                raise HandlerFailed(f"{type(outcome.error).__name__}: {outcome.error}") from outcome.error
            raise outcome.error
        return outcome

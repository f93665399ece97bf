"""A service: something that runs until it is stopped."""

import asyncio
import contextlib

import structlog

from tasktide.domain.errors import Unavailable

# What was read is finished within this time, or left uncommitted.
DRAIN_S = 6.0


class Service:
    """Start it, stop it; stopping waits, and stopping twice or before the start is fine."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stalled = False
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def stopping(self) -> bool:
        """Whether the work should come to an end."""
        return self._stop.is_set()

    async def work(self) -> None:
        """What the service does, until `stopping`."""
        await self._stop.wait()

    def start(self) -> asyncio.Task[None]:
        """Begin; the task ends when the service stops, or with the error that ended it."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self.name)
        return self._task

    async def stop(self, drain_s: float = DRAIN_S) -> None:
        """Ask the work to end and wait for it; after `drain_s` seconds it is cut off, uncommitted."""
        self._stop.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=drain_s)
        if not done:
            structlog.get_logger(self.name).warning("cut off", after_s=drain_s)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def pause(self, seconds: float) -> None:
        """Wait, but not past the wish to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _run(self) -> None:
        try:
            await self.work()
        except Unavailable:
            if not self.stopping:
                raise

"""Pipelines that are driven by the clock instead of a topic."""

import time
from collections.abc import Awaitable, Callable

import structlog

from tasktide.domain.errors import Unavailable
from tasktide.pipelines.service import Service
from tasktide.ports.metrics import Metrics

STALL_S = 1.0


class Ticker(Service):
    """Calls `tick` again at once while it finds something to do, and every `every_s` seconds otherwise.

    `tick` returns how many things it did. Unavailable stalls the ticker; any other error stalls it too and is logged,
    and the next tick tries anew: what a tick works on are rows, which are still there. `close` ends what ticks began.
    """

    def __init__(
        self,
        *,
        name: str,
        tick: Callable[[], Awaitable[int]],
        every_s: float,
        metrics: Metrics,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(name)
        self._tick = tick
        self._close = close
        self._every_s = every_s
        self._metrics = metrics
        self._logger = structlog.get_logger(name)

    async def work(self) -> None:
        """Tick until asked to stop."""
        try:
            while not self.stopping:
                began = time.perf_counter()
                done = await self._try()
                if done:
                    self._metrics.handled(self.name, done, time.perf_counter() - began)
                else:
                    await self.pause(STALL_S if self.stalled else self._every_s)
        finally:
            if self._close is not None:
                await self._close()

    async def _try(self) -> int:
        was_stalled = self.stalled
        try:
            done = await self._tick()
            self.stalled = False
        except Unavailable as away:
            self.stalled = True
            if not was_stalled:
                self._logger.warning("stalled", engine=away.engine, detail=away.whole)
            done = 0
        except Exception:
            self._logger.exception("tick failed")
            self.stalled = True
            done = 0
        if was_stalled != self.stalled:
            self._metrics.stalled(self.name, is_stalled=self.stalled)
        return done

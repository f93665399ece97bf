"""The relay: carries what stores have to say to a log that does not share their transactions."""

import time

import structlog

from tasktide.domain.errors import Unavailable
from tasktide.pipelines.consumer import BACKOFF_S
from tasktide.pipelines.service import Service
from tasktide.ports.log import Log
from tasktide.ports.metrics import Metrics
from tasktide.ports.outbox import Outbox

BATCH = 1_000
WAIT_S = 0.5


class Relay(Service):
    """Appends the records of one outbox to the log, in order, then forgets them; never the other way round.

    A crash in between appends some of them again: their events carry derived ids, so that saying a thing twice
    says it once.
    """

    def __init__(self, *, outbox: Outbox, log: Log, metrics: Metrics) -> None:
        super().__init__(f"relay-{outbox.name}")
        self._outbox = outbox
        self._log = log
        self._metrics = metrics
        self._logger = structlog.get_logger(self.name)

    async def work(self) -> None:
        """Batches until asked to stop; an engine that is away makes it wait, ever longer."""
        attempt = 0
        try:
            while not self.stopping:
                try:
                    await self.carry(WAIT_S)
                    attempt = 0
                except Unavailable as away:
                    if not self.stalled:
                        self._logger.warning("stalled", engine=away.engine, detail=away.whole)
                    self._stall(is_stalled=True)
                    await self.pause(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
                    attempt += 1
        finally:
            await self._outbox.release()

    async def carry(self, wait_s: float) -> int:
        """One batch; how many records."""
        outgoing = await self._outbox.take(BATCH, wait_s)
        if self.stalled:
            self._logger.info("resumed")
            self._stall(is_stalled=False)
        if outgoing is None:
            return 0
        began = time.perf_counter()
        await self._log.append(outgoing.records)
        await self._outbox.done(outgoing)
        self._metrics.handled(self.name, len(outgoing.records), time.perf_counter() - began)
        return len(outgoing.records)

    def _stall(self, *, is_stalled: bool) -> None:
        self.stalled = is_stalled
        self._metrics.stalled(self.name, is_stalled=is_stalled)

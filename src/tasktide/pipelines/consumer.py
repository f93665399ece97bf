"""What all readers of a topic share: patience with engines, parking of poison, measuring of lag."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from tasktide.domain import events
from tasktide.domain.errors import Unavailable
from tasktide.domain.letters import DeadLetter
from tasktide.pipelines.service import Service
from tasktide.ports.clock import Clock
from tasktide.ports.letters import Letters
from tasktide.ports.log import WHOLE, Log, Share, Stored
from tasktide.ports.metrics import Metrics

T = TypeVar("T")

BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LAG_EVERY_S = 1.0
WAIT_S = 0.5
REASON_LENGTH = 1_000


class Consumer(Service):
    """One group on one topic, called after the service, or its `share` beside others in the process."""

    def __init__(
        self, *, name: str, topic: str, log: Log, letters: Letters, clock: Clock, metrics: Metrics, share: Share = WHOLE
    ) -> None:
        super().__init__(name)
        self.topic = topic
        self.lane = share.lane
        self.reader = log.reader(topic, name, share)
        self.metrics = metrics
        self.logger = structlog.get_logger(name)
        self._letters = letters
        self._clock = clock
        self._measured_at = float("-inf")
        self._waiting_calls = 0

    async def read(self, limit: int) -> list[tuple[Stored, Any]]:
        """The next records with their events; what cannot be decoded is parked on the way.

        Empty when nothing came for a while. A parked record stands there with None, so that it is committed too.
        """
        records = await self.keep_trying(lambda: self.reader.read(limit, WAIT_S))
        await self._measure()
        found: list[tuple[Stored, Any]] = []
        for record in records:
            if record.event is not None:
                found.append((record, record.event))
                continue
            try:
                found.append((record, events.decode(self.topic, record.value)))
            except Exception as error:  # noqa: BLE001 - bytes may be wrong in any way
                await self.park(record, error)
                found.append((record, None))
        return found

    async def keep_trying(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result; while its engine is away, again and again, ever slower, until asked to stop."""
        attempt = 0
        is_waiting = False
        try:
            while True:
                try:
                    return await call()
                except Unavailable as away:
                    if self.stopping:
                        raise
                    if not is_waiting:
                        is_waiting = True
                        self._wait_for(1)
                        self.logger.warning("stalled", engine=away.engine, detail=away.whole)
                    await self.pause(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
                    attempt += 1
        finally:
            if is_waiting:
                self._wait_for(-1)
                if not self.stalled:
                    self.logger.info("resumed")

    async def park(self, record: Stored, error: Exception) -> None:
        """Set a record aside as a dead letter."""
        reason = f"{type(error).__name__}: {error}"[:REASON_LENGTH].encode("utf-8", "replace").decode()
        letter = DeadLetter(
            topic=self.topic,
            pipeline=self.name,
            position=record.position,
            key=record.key,
            value=record.value,
            reason=reason,
            attempts=1,
            parked_at=self._clock.now(),
        )
        await self.keep_trying(lambda: self._letters.park([letter]))
        self.metrics.parked(self.name, 1)
        self.logger.error("parked", topic=self.topic, position=record.position, reason=reason)

    async def _measure(self) -> None:
        now = self._clock.monotonic()
        if now - self._measured_at >= LAG_EVERY_S:
            self._measured_at = now
            lag = await self.keep_trying(self.reader.lag)
            self.metrics.lag(self.name, lag.records, lag.age_s, self.lane)

    def _wait_for(self, change: int) -> None:
        """Count the calls that wait for an engine: while there is one, it is stalled, whatever the others do."""
        self._waiting_calls += change
        self.stalled = self._waiting_calls > 0
        self.metrics.stalled(self.name, is_stalled=self.stalled, lane=self.lane)

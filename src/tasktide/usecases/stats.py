"""How the system is: totals, health, metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from msgspec import Struct

from tasktide.domain.errors import TasktideError
from tasktide.ports.clock import Clock
from tasktide.ports.metrics import Flow, Metrics, Traffic
from tasktide.ports.tasks import TaskStore

PING_S = 2.0
FRESH_S = 1.0

Ping = Callable[[], Awaitable[None]]


class EngineHealth(Struct, frozen=True, omit_defaults=True):
    """Whether an engine answers, and how fast."""

    status: str
    latency_ms: float
    error: str | None = None


class Health(Struct, frozen=True):
    """`ok` when every engine answers and no pipeline waits for one."""

    status: str
    engines: dict[str, EngineHealth]
    stalled_pipelines: list[str]

    @property
    def is_ok(self) -> bool:
        """Whether work can be taken in and gets done."""
        return self.status == "ok"


class WorkTotals(Struct, frozen=True, rename="camel"):
    """Jobs done and their mean time from start to end."""

    total_tasks: int
    average_processing_time_ms: float


class _Recent:
    """An engine's answer to a ping, for all who ask within the same second: anybody may, as often as they like."""

    def __init__(self, ping: Ping, clock: Clock) -> None:
        self._ping = ping
        self._clock = clock
        self._asked_s = -FRESH_S
        self._answer: asyncio.Task[EngineHealth] | None = None

    async def answer(self) -> EngineHealth:
        """Whether it answered, within two seconds."""
        now = self._clock.monotonic()
        if self._answer is None or (self._answer.done() and now - self._asked_s >= FRESH_S):
            self._asked_s = now
            self._answer = asyncio.create_task(self._ask(), name="ping")
        # One who no longer waits does not take the answer away from the others.
        return await asyncio.shield(self._answer)

    async def _ask(self) -> EngineHealth:
        began = self._clock.monotonic()
        error = None
        try:
            async with asyncio.timeout(PING_S):
                await self._ping()
        except TimeoutError:
            error = f"no answer within {PING_S:g} s"
        except TasktideError as failed:
            error = failed.whole
        latency_ms = round((self._clock.monotonic() - began) * 1000, 3)
        return EngineHealth("ok" if error is None else "unavailable", latency_ms, error)


class Stats:
    """Reads only."""

    def __init__(
        self,
        *,
        store: TaskStore,
        metrics: Metrics,
        clock: Clock,
        pings: Mapping[str, Ping],
        needs: Collection[str],
        stalled: Callable[[], list[str]],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._pings = {name: _Recent(ping, clock) for name, ping in pings.items()}
        self._needs = needs
        self._stalled = stalled

    async def totals(self) -> WorkTotals:
        """What the workers have done since the beginning."""
        totals = await self._store.totals()
        mean = totals.processing_ms / totals.done if totals.done else 0.0
        return WorkTotals(totals.done, round(mean, 3))

    async def health(self) -> Health:
        """How every engine is."""
        return await self._look(self._pings)

    async def readiness(self) -> Health:
        """How the engines are that this process cannot do without."""
        return await self._look([name for name in self._pings if name in self._needs])

    async def _look(self, names: Collection[str]) -> Health:
        answers = await asyncio.gather(*(self._pings[name].answer() for name in names))
        engines = dict(zip(names, answers, strict=True))
        stalled = self._stalled()
        is_ok = not stalled and all(engine.status == "ok" for engine in answers)
        return Health("ok" if is_ok else "unavailable", engines, stalled)

    def flows(self) -> Sequence[Flow]:
        """What the pipelines of this process do."""
        return self._metrics.flows()

    def traffic(self) -> Traffic:
        """What the gateway of this process does."""
        return self._metrics.traffic()

    def prometheus(self, media_type: str) -> tuple[bytes, str]:
        """All metrics in the exposition format that was asked for: body and content type."""
        return self._metrics.render(media_type)

    def request(self, protocol: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._metrics.request(protocol, method, status, seconds)

    def listeners(self, protocol: str, change: int) -> None:
        """Count live connections: 1 came, -1 went."""
        self._metrics.listeners(protocol, change)

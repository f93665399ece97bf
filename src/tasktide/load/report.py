"""What a load came to."""

from array import array
from collections.abc import Mapping

from msgspec import Struct

# Latencies are counted in steps of 50 microseconds up to a minute.
STEP_US = 50
STEPS = 60_000_000 // STEP_US


class Latencies:
    """A histogram of fixed steps: constant memory, whatever the number of samples."""

    def __init__(self) -> None:
        self._counts = array("L", bytes(8 * (STEPS + 1)))
        self.count = 0

    def add(self, microseconds: int, times: int = 1) -> None:
        """Count a sample."""
        self._counts[min(max(0, microseconds) // STEP_US, STEPS)] += times
        self.count += times

    def percentile_ms(self, share: float) -> float:
        """The milliseconds that so large a share of the samples stayed within; 0 without samples."""
        wanted = share * self.count
        seen = 0
        for step, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return round((step + 1) * STEP_US / 1000, 2)
        return 0.0

    def summary(self) -> "Spread":
        """The usual percentiles."""
        return Spread(*(self.percentile_ms(share) for share in (0.5, 0.9, 0.99, 1.0)))


class Spread(Struct, frozen=True):
    """Percentiles in milliseconds."""

    p50: float
    p90: float
    p99: float
    worst: float


class Report(Struct, frozen=True, kw_only=True):
    """Items, not requests, unless it says so. Rates are a second; `settle_s` runs from the last answer on."""

    kind: str
    seconds: float
    connections: int
    sockets: int
    batch: int
    offered: float
    requests: int
    accepted: int
    accepted_rate: float
    stored_rate: float | None
    delivered: int
    delivered_rate: float
    expected: int
    settle_s: float | None
    accept_ms: Spread
    frame_ms: Spread
    errors: Mapping[str, int]
    doubled: int
    disordered: int
    reconnected: int
    driver_cpu: float

    @property
    def is_whole(self) -> bool:
        """Whether everything that was accepted has arrived, once each and in order."""
        return self.settle_s is not None and not self.doubled and not self.disordered

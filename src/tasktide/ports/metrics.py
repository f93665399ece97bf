"""What is counted: a closed list."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Flow(NamedTuple):
    """A pipeline of this process: records handled since its start, and how far it is behind."""

    pipeline: str
    records: float
    lag_records: float
    lag_s: float
    is_stalled: bool


class Traffic(NamedTuple):
    """The gateway of this process: requests answered since its start, and open streams."""

    requests: float
    listeners: float


class Metrics(Protocol):
    """Counters and gauges about the flow. Calls are cheap and never fail."""

    def handled(self, pipeline: str, records: int, seconds: float) -> None:
        """A batch went through."""
        ...

    def parked(self, pipeline: str, records: int) -> None:
        """Records became dead letters."""
        ...

    def stalled(self, pipeline: str, *, is_stalled: bool) -> None:
        """The pipeline waits for an engine, or goes on."""
        ...

    def degraded(self, what: str, *, is_degraded: bool) -> None:
        """Something works by a stand-in, or in full again."""
        ...

    def lag(self, pipeline: str, records: int, age_s: float) -> None:
        """How far the pipeline is behind."""
        ...

    def request(self, protocol: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        ...

    def listeners(self, protocol: str, change: int) -> None:
        """Live connections came (1) or went (-1)."""
        ...

    def flows(self) -> Sequence[Flow]:
        """Every pipeline that has said something, by name."""
        ...

    def traffic(self) -> Traffic:
        """What the gateway does."""
        ...

    def render(self, media_type: str) -> tuple[bytes, str]:
        """All metrics for a Prometheus scraper: the body and its content type."""
        ...

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

    def stalled(self, pipeline: str, *, is_stalled: bool, lane: int = 0) -> None:
        """A lane of the pipeline waits for an engine, or goes on; one that waits makes it stalled."""
        ...

    def degraded(self, what: str, *, is_degraded: bool) -> None:
        """Something works by a stand-in, or in full again."""
        ...

    def lag(self, pipeline: str, records: int, age_s: float, lane: int = 0) -> None:
        """How far a lane of the pipeline is behind; all together, the pipeline is."""
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

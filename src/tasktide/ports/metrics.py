"""What is counted: a closed list."""

from typing import Protocol


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

    def render(self, media_type: str) -> tuple[bytes, str]:
        """All metrics for a Prometheus scraper: the body and its content type."""
        ...

"""Time."""

from typing import Protocol

from tasktide.domain.times import Timestamp


class Clock(Protocol):
    """The only source of time. Wall time may jump either way; monotonic time never goes back."""

    def now(self) -> Timestamp:
        """Wall time in UTC, to the millisecond."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start; for durations, timeouts and windows."""
        ...

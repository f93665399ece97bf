"""A clock that moves when it is told to."""

from tasktide.domain import times
from tasktide.domain.times import Timestamp

START_MS = times.epoch_ms(Timestamp("2026-11-20T12:00:00.000Z"))


class FakeClock:
    """`ports.clock.Clock` by hand."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._jump_s = 0.0

    def now(self) -> Timestamp:
        return times.at(START_MS + round((self._elapsed_s + self._jump_s) * 1000))

    def monotonic(self) -> float:
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed_s += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as an administrator might; durations are unaffected."""
        self._jump_s += seconds

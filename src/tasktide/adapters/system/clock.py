"""The machine's clocks."""

import time

from tasktide.domain import times
from tasktide.domain.times import Timestamp


class SystemClock:
    """`ports.clock.Clock`; one formatting serves all calls of a millisecond."""

    def __init__(self) -> None:
        self._millis = 0
        self._text = times.at(0)

    def now(self) -> Timestamp:
        """See the port."""
        millis = time.time_ns() // 1_000_000
        if millis != self._millis:
            self._millis, self._text = millis, times.at(millis)
        return self._text

    def monotonic(self) -> float:
        """See the port."""
        return time.monotonic()

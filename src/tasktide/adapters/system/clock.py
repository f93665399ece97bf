"""The machine's clocks."""

import time

from tasktide.domain import times
from tasktide.domain.times import Timestamp


class SystemClock:
    """`ports.clock.Clock`; formatting a whole time is done once a second."""

    def __init__(self) -> None:
        self._millis = 0
        self._text = times.at(0)
        self._second = self._text[:-4]

    def now(self) -> Timestamp:
        """See the port."""
        millis = time.time_ns() // 1_000_000
        if millis != self._millis:
            if millis // 1_000 != self._millis // 1_000:
                self._second = times.at(millis)[:-4]
            self._millis, self._text = millis, Timestamp(f"{self._second}{millis % 1_000:03d}Z")
        return self._text

    def monotonic(self) -> float:
        """See the port."""
        return time.monotonic()

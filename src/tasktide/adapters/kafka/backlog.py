"""How far a group is behind, for those who ask on every request."""

import asyncio

from tasktide.domain.errors import Unavailable

# The pace is an average of about so long, since a group commits in steps; it is relied on for so long after a look.
AVERAGE_S = 1.0
RELIED_ON_S = 0.5


class Backlog:
    """As of the last look, with what was appended here since.

    Between two looks a group that keeps up seems to fall behind, so there is an estimate as well: less what it has
    done since at its last pace.
    """

    def __init__(self) -> None:
        self.records = 0
        # Of them, those that were appended here since the look that is under way began.
        self._since = 0
        self.committed = 0
        self.asked_at = 0.0
        self.known = asyncio.Event()
        self.failure: Unavailable | None = None
        self._per_s = 0.0
        self._looked_at: float | None = None

    def looks(self) -> None:
        """A look begins: it may not see what is appended from now on."""
        self._since = 0

    def looked(self, records: int, committed: int, now_s: float) -> None:
        """Take in what the broker says: how many records it is behind, and how many it has committed at all."""
        if self._looked_at is not None:
            since_s = max(now_s - self._looked_at, 0.001)
            per_s = max(0, committed - self.committed) / since_s
            self._per_s += (per_s - self._per_s) * min(1.0, since_s / AVERAGE_S)
        self.records, self.committed, self._looked_at = records + self._since, committed, now_s

    def appended(self, records: int) -> None:
        """So many were appended here."""
        self.records += records
        self._since += records

    def estimate(self, now_s: float) -> int:
        """Of the records that it is behind."""
        since_s = 0.0 if self._looked_at is None else min(now_s - self._looked_at, RELIED_ON_S)
        return max(0, self.records - int(self._per_s * since_s))

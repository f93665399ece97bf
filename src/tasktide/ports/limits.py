"""Rate limits."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from tasktide.domain.rates import Tier, Verdict


class Limits(Protocol):
    """Counts requests per key in fixed windows that begin with the first request."""

    def hit(self, key: str, tiers: Sequence[Tier]) -> Awaitable[Verdict]:
        """Count one request in every tier, if all of them have room; count it in none otherwise."""
        ...

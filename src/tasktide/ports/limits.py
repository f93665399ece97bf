"""Rate limits."""

from collections.abc import Sequence
from typing import Protocol

from tasktide.domain.rates import Tier, Verdict


class Limits(Protocol):
    """Counts requests per key in fixed windows that begin with the first request."""

    async def hit(self, key: str, tiers: Sequence[Tier]) -> Verdict:
        """Count one request in every tier, if all of them have room; count it in none otherwise."""
        ...

"""Rate limits."""

from collections.abc import Sequence
from typing import Protocol

from tasktide.domain.rates import Tier, Verdict


class Limits(Protocol):
    """Counts requests per key in fixed windows that begin with the first request."""

    def hit_now(self, key: str, tiers: Sequence[Tier]) -> Verdict | None:
        """As `hit`, when that can be said without asking anybody; None, and nothing counted, when it cannot."""
        ...

    async def hit(self, key: str, tiers: Sequence[Tier]) -> Verdict:
        """Count one request in every tier, if all of them have room; count it in none otherwise."""
        ...

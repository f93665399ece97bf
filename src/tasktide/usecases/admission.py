"""Who may come in now: rate limits."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from tasktide.domain.errors import Limited
from tasktide.domain.rates import Tier, Verdict
from tasktide.domain.users import Actor
from tasktide.ports.limits import Limits


class Admission:
    """Counts signed-in requests per user and the others per address; all tiers hold at once."""

    def __init__(self, *, limits: Limits, anonymous: Sequence[Tier], signed_in: Sequence[Tier], enabled: bool) -> None:
        self._limits = limits
        self._anonymous = tuple(anonymous)
        self._signed_in = tuple(signed_in)
        self.enabled = enabled

    def tiers(self, actor: Actor | None) -> tuple[Tier, ...]:
        """The limits that hold for an actor, or for nobody in particular."""
        return self._anonymous if actor is None else self._signed_in

    async def admit(self, actor: Actor | None, address: str) -> Verdict:
        """Count a request; the verdict says whether it may pass."""
        if actor is not None:
            return self.admit_now(actor) or await self._limits.hit(_of_user(actor), self._signed_in)
        key = f"address:{_network(address)}"
        return self._limits.hit_now(key, self._anonymous) or await self._limits.hit(key, self._anonymous)

    def admit_now(self, actor: Actor) -> Verdict | None:
        """As `admit`, if the verdict is at hand; None: nothing was counted."""
        return self._limits.hit_now(_of_user(actor), self._signed_in)


def _of_user(actor: Actor) -> str:
    return f"user:{actor.user_id}"


@lru_cache(maxsize=10_000)
def _network(address: str) -> str:
    """What one client has of addresses: of IPv6 the network that it is given whole (RFC 6177), of IPv4 the one."""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address)
    except ValueError:
        return address
    return str(found.ipv4_mapped or IPv6Network((int(found) >> 64 << 64, 64)))


def refusal(verdict: Verdict) -> Limited:
    """The error for a request that may not pass: it tells when there is room again in every tier."""
    full = [usage for usage in verdict.usage if usage.remaining <= 0]
    wait_s = max(1, -int(-max(usage.reset_s for usage in full) // 1))
    tiers = ", ".join(f"{usage.tier.quota} per {usage.tier.window_s} s" for usage in full)
    return Limited(f"Too many requests: the limit is {tiers}.", wait_s)

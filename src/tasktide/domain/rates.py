"""Rate limits: fixed windows that all hold at once."""

from collections.abc import Sequence

from msgspec import Struct


class Tier(Struct, frozen=True):
    """At most `quota` requests in `window_s` seconds, counted from the first one."""

    quota: int
    window_s: int

    @property
    def name(self) -> str:
        """How headers call it."""
        return f"{self.window_s}s"

    @property
    def policy(self) -> bytes:
        """The tier as a RateLimit-Policy item."""
        return b'"%ds";q=%d;w=%d' % (self.window_s, self.quota, self.window_s)


class Usage(Struct, frozen=True):
    """One tier after a request: how many are left, and in how many seconds the window starts anew."""

    tier: Tier
    remaining: int
    reset_s: float


class Verdict(Struct, frozen=True):
    """Whether a request may pass, and where each tier stands."""

    allowed: bool
    usage: tuple[Usage, ...] = ()

    @property
    def tightest(self) -> Usage:
        """The tier nearest to its end: the one worth telling the client about."""
        tightest = self.usage[0]
        for usage in self.usage:
            left = usage.remaining - tightest.remaining
            if left < 0 or (left == 0 and usage.reset_s > tightest.reset_s):
                tightest = usage
        return tightest


def parse_tiers(text: str) -> tuple[Tier, ...]:
    """Tiers written as `3/1s, 20/10s`; ValueError when it cannot be read so."""
    return tuple(_parse_tier(part.strip()) for part in text.split(","))


def format_tiers(tiers: Sequence[Tier]) -> str:
    """Tiers in the form that `parse_tiers` reads."""
    return ", ".join(f"{tier.quota}/{tier.window_s}s" for tier in tiers)


def _parse_tier(text: str) -> Tier:
    quota, slash, window = text.partition("/")
    if not (slash and window.endswith("s") and quota.isdigit() and window[:-1].isdigit()):
        raise ValueError(f"{text!r} is not of the form 3/1s")
    tier = Tier(int(quota), int(window[:-1]))
    if tier.quota < 1 or tier.window_s < 1:
        raise ValueError(f"{text!r} allows nothing")
    return tier

"""Rate limits in this process's memory."""

from collections import OrderedDict
from collections.abc import Sequence

from tasktide.domain.rates import Tier, Usage, Verdict
from tasktide.ports.clock import Clock

# Keys remembered; forgetting the one not seen for longest lets it start anew.
KEYS = 100_000


class MemoryLimits:
    """`ports.limits.Limits` with one window per key and tier: [window's start, requests in it]."""

    def __init__(self, clock: Clock, keys: int = KEYS) -> None:
        self._clock = clock
        self._most = keys
        self._windows: OrderedDict[str, list[list[float]]] = OrderedDict()

    async def hit(self, key: str, tiers: Sequence[Tier]) -> Verdict:
        """See the port."""
        return self.hit_now(key, tiers)

    def hit_now(self, key: str, tiers: Sequence[Tier]) -> Verdict:
        """See the port."""
        now = self._clock.monotonic()
        windows = self._windows.get(key)
        if windows is None or len(windows) != len(tiers):
            windows = self._windows[key] = [[now, 0] for _ in tiers]
            if len(self._windows) > self._most:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(key)
        allowed = True
        for tier, window in zip(tiers, windows, strict=True):
            if now - window[0] >= tier.window_s:
                window[0], window[1] = now, 0
            if window[1] >= tier.quota:
                allowed = False
        usage = []
        for tier, window in zip(tiers, windows, strict=True):
            window[1] += allowed
            remaining = tier.quota - int(window[1])
            usage.append(Usage(tier, remaining, window[0] + tier.window_s - now))
        return Verdict(allowed, tuple(usage))

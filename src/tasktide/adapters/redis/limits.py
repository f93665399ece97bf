"""Rate limits in Redis, one script for all requests of a tick; while it is away each process counts for itself."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tasktide.adapters.redis.client import MOST, Client, Coalesced, ended
from tasktide.domain.errors import Unavailable
from tasktide.domain.rates import Tier, Usage, Verdict
from tasktide.ports.limits import Limits
from tasktide.ports.metrics import Metrics

# Those that have passed are counted so often,
COUNT_S = 0.01
# A request passes at once and is counted behind, which renews the count, when the last one is younger than this,
FRESH_S = 0.25
# or, as the first few after a pause, not much older: what other gateways have let in since is not known,
KNOWN_S, FEW = 2.0, 10
# and leaves at least so many requests, and so large a part of the quota, in every tier.
ROOM, ROOM_PART = 50, 0.1
# Keys whose last count is remembered.
KEYS = 50_000


class _Hit(NamedTuple):
    """Requests of one key to count: those that have passed, or one more that asks when there are none."""

    key: str
    tiers: Sequence[Tier]
    passed: int = 0


class _Known:
    """How a key stood when it was last counted, and how many have passed since."""

    __slots__ = ("at", "passed", "tiers", "usage")

    def __init__(self, tiers: Sequence[Tier], usage: tuple[Usage, ...], at: float) -> None:
        self.tiers = tiers
        self.usage = usage
        self.at = at
        self.passed = 0

    def next(self, now: float) -> Verdict | None:
        """The verdict on one more request; None when it must be asked for."""
        age = now - self.at
        if age > KNOWN_S or (age > FRESH_S and self.passed >= FEW):
            return None
        passed = self.passed + 1
        usage = []
        for one in self.usage:
            left, reset_s = one.remaining - passed, one.reset_s - age
            if reset_s <= 0 or left < ROOM or left < one.tier.quota * ROOM_PART:
                return None
            usage.append(Usage(one.tier, left, reset_s))
        self.passed = passed
        return Verdict(True, tuple(usage))


class RedisLimits:
    """`ports.limits.Limits`, over all gateways; `local` stands in.

    Far from its limits a request does not wait for Redis: it is counted a moment later, with the others of that moment.
    What the other gateways have let in since the last count is not in it, so together they may go over a limit by what
    each lets in within FRESH_S of a count, or by FEW.
    """

    def __init__(self, client: Client, local: Limits, metrics: Metrics) -> None:
        self._client = client
        self._local = local
        self._metrics = metrics
        self._is_degraded = False
        self._hit = Coalesced(self._hit_all)
        self._known: dict[str, _Known] = {}
        self._uncounted: dict[str, _Hit] = {}
        # Those that are being counted at this moment.
        self._on_their_way: dict[str, int] = {}
        self._counting: asyncio.Task[None] | None = None

    def hit_now(self, key: str, tiers: Sequence[Tier]) -> Verdict | None:
        """See the port."""
        known = self._known.get(key)
        verdict = known.next(time.monotonic()) if known is not None and known.tiers == tiers else None
        if verdict is None:
            return None
        waiting = self._uncounted.get(key)
        self._uncounted[key] = _Hit(key, tiers, 1 if waiting is None else waiting.passed + 1)
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count(), name="redis-limits")
        return verdict

    async def hit(self, key: str, tiers: Sequence[Tier]) -> Verdict:
        """See the port."""
        try:
            verdict = await self._hit(_Hit(key, tiers))
        except Unavailable:
            self._note(is_degraded=True)
            return await self._local.hit(key, tiers)
        self._note(is_degraded=False)
        return verdict

    async def close(self) -> None:
        """Stop counting."""
        await ended(self._counting)

    async def _count(self) -> None:
        """Count what has passed, one call at a time with all that passed during the last one."""
        while self._uncounted:
            some = list(self._uncounted.values())[:MOST]
            for one in some:
                del self._uncounted[one.key]
            self._on_their_way = {one.key: one.passed for one in some}
            try:
                await self._hit_all(some)
            except Unavailable:
                self._known.clear()  # so that the next ones ask, and are told to count for themselves
            finally:
                self._on_their_way = {}
            await asyncio.sleep(COUNT_S)

    async def _hit_all(self, hits: list[_Hit]) -> Sequence[Verdict]:
        by_tiers: defaultdict[Sequence[Tier], list[int]] = defaultdict(list)
        for index, hit in enumerate(hits):
            by_tiers[hit.tiers].append(index)
        verdicts: dict[int, Verdict] = {}
        for tiers, indexes in by_tiers.items():
            some = [hits[index] for index in indexes]
            windows = [number for tier in tiers for number in (tier.quota, round(tier.window_s * 1_000))]
            keys = [self._client.key(f"limit:{hit.key}") for hit in some]
            results = await self._client.script("hit", keys, [len(tiers), *windows, *(hit.passed for hit in some)])
            found = [_verdict(tiers, result) for result in results]
            self._remember(some, found)
            verdicts |= zip(indexes, found, strict=True)
        return [verdicts[index] for index in range(len(hits))]

    def _remember(self, hits: Sequence[_Hit], verdicts: Sequence[Verdict]) -> None:
        if len(self._known) > KEYS:
            self._known.clear()
        now = time.monotonic()
        for hit, verdict in zip(hits, verdicts, strict=True):
            known = self._known[hit.key] = _Known(hit.tiers, verdict.usage, now)
            waiting = self._uncounted.get(hit.key)
            if waiting is not None:
                known.passed = waiting.passed
            if not hit.passed:  # an answer to one that asked knows nothing of those that are being counted beside it
                known.passed += self._on_their_way.get(hit.key, 0)

    def _note(self, *, is_degraded: bool) -> None:
        if is_degraded != self._is_degraded:
            self._is_degraded = is_degraded
            self._metrics.degraded("limits", is_degraded=is_degraded)


def _verdict(tiers: Sequence[Tier], result: Sequence[int]) -> Verdict:
    usage = [Usage(tier, result[2 * n + 1], result[2 * n + 2] / 1_000) for n, tier in enumerate(tiers)]
    return Verdict(bool(result[0]), tuple(usage))

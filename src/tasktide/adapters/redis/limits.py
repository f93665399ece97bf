"""Rate limits in Redis, one script for all requests of a tick; while it is away each process counts for itself."""

from collections.abc import Sequence
from typing import NamedTuple

from tasktide.adapters.redis.client import Client, Coalesced
from tasktide.domain.errors import Unavailable
from tasktide.domain.rates import Tier, Usage, Verdict
from tasktide.ports.limits import Limits
from tasktide.ports.metrics import Metrics


class _Hit(NamedTuple):
    key: str
    tiers: Sequence[Tier]


class RedisLimits:
    """`ports.limits.Limits`, over all gateways; `local` stands in."""

    def __init__(self, client: Client, local: Limits, metrics: Metrics) -> None:
        self._client = client
        self._local = local
        self._metrics = metrics
        self._is_degraded = False
        self._hit = Coalesced(self._hit_all)

    async def hit(self, key: str, tiers: Sequence[Tier]) -> Verdict:
        """See the port."""
        try:
            verdict = await self._hit(_Hit(key, tiers))
        except Unavailable:
            self._note(is_degraded=True)
            return await self._local.hit(key, tiers)
        self._note(is_degraded=False)
        return verdict

    async def _hit_all(self, hits: list[_Hit]) -> Sequence[Verdict]:
        keys = [self._client.key(f"limit:{hit.key}") for hit in hits]
        arguments: list[int] = []
        for hit in hits:
            arguments.append(len(hit.tiers))
            for tier in hit.tiers:
                arguments += [tier.quota, round(tier.window_s * 1_000)]
        results = await self._client.script("hit", keys, arguments)
        return [_verdict(hit.tiers, result) for hit, result in zip(hits, results, strict=True)]

    def _note(self, *, is_degraded: bool) -> None:
        if is_degraded != self._is_degraded:
            self._is_degraded = is_degraded
            self._metrics.degraded("limits", is_degraded=is_degraded)


def _verdict(tiers: Sequence[Tier], result: Sequence[int]) -> Verdict:
    usage = [Usage(tier, result[2 * n + 1], result[2 * n + 2] / 1_000) for n, tier in enumerate(tiers)]
    return Verdict(bool(result[0]), tuple(usage))

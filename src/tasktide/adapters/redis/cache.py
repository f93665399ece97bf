"""The cache in Redis: calls of one tick are one; while it is away everything is a miss."""

from collections.abc import Collection, Sequence

from tasktide.adapters.redis.client import MOST, Client, Coalesced
from tasktide.domain.errors import Unavailable
from tasktide.ports.cache import Snapshot, spread

# Digits of the version before a body.
DIGITS = 16


class RedisCache:
    """`ports.cache.Cache`. Losing it costs time, never data."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._get = Coalesced(self._get_all)
        self._put = Coalesced(self._put_all)

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """See the port."""
        wanted = list(keys)
        if not wanted:
            return {}
        try:
            values = [await self._get(wanted[0])] if len(wanted) == 1 else await self._get_all(wanted)
        except Unavailable:
            return {}
        return {key: value[DIGITS:] for key, value in zip(wanted, values, strict=True) if value is not None}

    async def put(self, snapshots: Sequence[Snapshot]) -> None:
        """See the port."""
        try:
            if len(snapshots) == 1:
                await self._put(snapshots[0])
                return
            for first in range(0, len(snapshots), MOST):
                await self._put_all(list(snapshots[first : first + MOST]))
        except Unavailable:
            return

    async def drop(self, keys: Collection[str]) -> None:
        """See the port."""
        if keys:
            try:
                await self._client.call("UNLINK", *(self._client.key(key) for key in keys))
            except Unavailable:
                return

    async def _get_all(self, keys: list[str]) -> Sequence[bytes | None]:
        values: Sequence[bytes | None] = await self._client.call("MGET", *(self._client.key(key) for key in keys))
        return values

    async def _put_all(self, snapshots: list[Snapshot]) -> Sequence[None]:
        keys = [self._client.key(one.key) for one in snapshots]
        arguments = [
            part for one in snapshots for part in (one.version, max(1, round(spread(one.ttl_s) * 1_000)), one.body)
        ]
        await self._client.script("put", keys, arguments)
        return [None] * len(snapshots)

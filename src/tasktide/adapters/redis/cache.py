"""The cache in Redis: calls of one tick are one; while it is away everything is a miss."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

import structlog

from tasktide.adapters.redis.client import AWAY_S, MOST, Client, Coalesced, ended
from tasktide.domain.errors import Unavailable
from tasktide.ports.cache import Snapshot, spread

# Digits of the version before a body.
DIGITS = 16
# Keys whose write failed, remembered until they can be removed.
OWED = 200_000


class RedisCache:
    """`ports.cache.Cache`. Losing it costs time, never data.

    A key that could not be written may hold something older: as long as this process lives it is remembered, and
    removed once Redis is back.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._get = Coalesced(self._get_all)
        self._put = Coalesced(self._put_all)
        self._owed: dict[str, None] = {}
        self._paying: asyncio.Task[None] | None = None
        self._logger = structlog.get_logger("cache")

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
        if len(snapshots) == 1:
            await self._put(snapshots[0])
            return
        for first in range(0, len(snapshots), MOST):
            await self._put_all(snapshots[first : first + MOST])

    def begin_put(self, snapshots: Sequence[Snapshot]) -> "asyncio.Future[None]":
        """See the port. For one snapshot there is no task."""
        if len(snapshots) == 1:
            return self._put.begin(snapshots[0])
        return asyncio.create_task(self.put(snapshots), name="redis-put")

    async def drop(self, keys: Collection[str]) -> None:
        """See the port."""
        if not keys:
            return
        try:
            await self._client.call("UNLINK", *(self._client.key(key) for key in keys))
        except Unavailable:
            self._owe(keys)

    async def close(self) -> None:
        """Stop, after a last try to remove what could not be written."""
        await ended(self._paying)
        if self._owed:
            await self.drop(list(self._owed)[:MOST])
            await ended(self._paying)

    def _owe(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._owed[key] = None
        while len(self._owed) > OWED:
            del self._owed[next(iter(self._owed))]
        if self._paying is None or self._paying.done():
            self._logger.warning("keys to be removed once Redis is back", at_most=OWED)
            self._paying = asyncio.create_task(self._pay(), name="redis-cache")

    async def _pay(self) -> None:
        while self._owed:
            some = list(self._owed)[:MOST]
            try:
                await self._client.call("UNLINK", *(self._client.key(key) for key in some))
            except Unavailable:
                await asyncio.sleep(AWAY_S)
                continue
            for key in some:
                self._owed.pop(key, None)

    async def _get_all(self, keys: list[str]) -> Sequence[bytes | None]:
        values: Sequence[bytes | None] = await self._client.call("MGET", *(self._client.key(key) for key in keys))
        return values

    async def _put_all(self, snapshots: Sequence[Snapshot]) -> Sequence[None]:
        """Write them, or remember that they could not be."""
        keys = [self._client.key(one.key) for one in snapshots]
        arguments = [
            part for one in snapshots for part in (one.version, max(1, round(spread(one.ttl_s) * 1_000)), one.body)
        ]
        try:
            await self._client.script("put", keys, arguments)
        except Unavailable:
            self._owe(one.key for one in snapshots)
        return [None] * len(snapshots)

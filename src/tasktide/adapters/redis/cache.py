"""The cache in Redis: calls of one tick are one; while it is away everything is a miss."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

import structlog

from tasktide.adapters.redis.client import AWAY_S, MOST, Client, Coalesced, ended
from tasktide.domain.errors import Unavailable
from tasktide.ports.cache import Snapshot, spread

# Digits of the version before a body.
DIGITS = 16
# What is offered is written so long after the last write, together.
BEHIND_S = 0.01
# Snapshots offered and not yet written; past it they are not kept.
OFFERED = 20_000
# Keys whose write failed, remembered until they can be removed.
OWED = 200_000


class RedisCache:
    """`ports.cache.Cache`. Losing it costs time, never data.

    What is offered is written behind, one call at a time with all that came meanwhile, and read from here until
    then. A key that could not be written may hold something older: it is removed once Redis is back.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._get = Coalesced(self._get_all)
        self._put = Coalesced(self._put_all)
        self._offered: dict[str, Snapshot] = {}
        self._owed: dict[str, None] = {}
        self._behind: asyncio.Task[None] | None = None
        self._logger = structlog.get_logger("cache")

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """See the port."""
        found = {key: one.body for key in keys if (one := self._offered.get(key)) is not None}
        wanted = [key for key in keys if key not in found] if found else list(keys)
        if not wanted:
            return found
        try:
            values = [await self._get(wanted[0])] if len(wanted) == 1 else await self._get_all(wanted)
        except Unavailable:
            return found
        return found | {key: value[DIGITS:] for key, value in zip(wanted, values, strict=True) if value is not None}

    async def put(self, snapshots: Sequence[Snapshot]) -> None:
        """See the port."""
        try:
            if len(snapshots) == 1:
                await self._put(snapshots[0])
                return
            for first in range(0, len(snapshots), MOST):
                await self._put_all(list(snapshots[first : first + MOST]))
        except Unavailable:
            self._owe(one.key for one in snapshots)

    def offer(self, snapshots: Sequence[Snapshot]) -> None:
        """See the port."""
        if len(self._offered) + len(snapshots) > OFFERED:
            return
        for one in snapshots:
            self._offered[one.key] = one
        self._write_behind()

    async def drop(self, keys: Collection[str]) -> None:
        """See the port."""
        if not keys:
            return
        for key in keys:
            self._offered.pop(key, None)
        try:
            await self._client.call("UNLINK", *(self._client.key(key) for key in keys))
        except Unavailable:
            self._owe(keys)

    async def close(self) -> None:
        """Stop writing; what was only offered is not kept."""
        await ended(self._behind)

    def _owe(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._owed[key] = None
        excess = len(self._owed) - OWED
        if excess > 0:
            self._logger.warning("keys may be out of date for some minutes", count=excess)
            for key in list(self._owed)[:excess]:
                del self._owed[key]
        self._write_behind()

    def _write_behind(self) -> None:
        if self._behind is None or self._behind.done():
            self._behind = asyncio.create_task(self._settle(), name="redis-cache")

    async def _settle(self) -> None:
        while self._offered or self._owed:
            some = list(self._offered.values())[:MOST]
            owed = list(self._owed)[:MOST]
            try:
                if owed:
                    await self._client.call("UNLINK", *(self._client.key(key) for key in owed))
                    for key in owed:
                        self._owed.pop(key, None)
                if some:
                    await self._put_all(some)
            except Unavailable:
                # It may come back with something older, so that what is here must not be read any more either.
                self._offered.clear()
                self._owe(one.key for one in some)
                await asyncio.sleep(AWAY_S)
                continue
            for one in some:
                if self._offered.get(one.key) is one:
                    del self._offered[one.key]
            if len(some) < MOST:
                await asyncio.sleep(BEHIND_S)

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

"""Ids from Redis, below a ceiling that is leased durably: a counter that is lost never gives a number again."""

from tasktide.adapters.redis.client import Client
from tasktide.domain.errors import Unavailable
from tasktide.ports.ids import Ids, Leased

# Numbers that a process takes at once, and that Redis may give away before the next durable lease.
BLOCK = 1_000
CEILING = 100_000


class RedisIds:
    """`ports.ids.Ids`. `durable` is where the ceilings come from, and the numbers while Redis is away."""

    def __init__(self, client: Client, durable: Ids, block: int = BLOCK, ceiling: int = CEILING) -> None:
        self._client = client
        self._durable = durable
        self._ceiling = ceiling
        self._leased = Leased(self._next, block)
        # The end of what was given here last, by name.
        self._given: dict[str, int] = {}

    async def take(self, name: str, count: int = 1) -> range:
        """See the port."""
        return await self._leased.take(name, count)

    def has(self, name: str) -> bool:
        """See the port."""
        return self._leased.has(name)

    def take_now(self, name: str) -> int:
        """See the port."""
        return self._leased.take_now(name)

    async def _next(self, name: str, count: int) -> range:
        first = await self._first(name, count)
        self._given[name] = first + count
        return range(first, first + count)

    async def _first(self, name: str, count: int) -> int:
        key = self._client.key(f"ids:{name}")
        try:
            first: int | None = await self._client.script("take", [key], [count])
            # While Redis was away we gave later ones than it knows of.
            while first is None or first < self._given.get(name, 0):
                block = await self._durable.take(name, max(self._ceiling, count))
                await self._client.script("extend", [key], [block.start, block.stop])
                first = await self._client.script("take", [key], [count])
        except Unavailable as away:
            if away.engine != "redis":
                raise
            return (await self._durable.take(name, count)).start
        return first

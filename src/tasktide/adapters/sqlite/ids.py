"""Ids from leased blocks: one write for ten thousand numbers."""

import asyncio

from tasktide.adapters.sqlite.database import Database

BLOCK = 10_000
# Moves the lease of a name forward and returns its new end. Write lock; primary key.
LEASE = """
INSERT INTO id_leases (name, leased) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET leased = leased + excluded.leased RETURNING leased
"""


class SqliteIds:
    """`ports.ids.Ids` on the table `id_leases`. What a killed process had leased is skipped."""

    def __init__(self, database: Database, block: int = BLOCK) -> None:
        self._database = database
        self._block = block
        self._free: dict[str, range] = {}
        self._lock = asyncio.Lock()

    async def take(self, name: str, count: int = 1) -> range:
        """See the port."""
        taken = self._cut(name, count)
        if taken is not None:
            return taken
        async with self._lock:
            taken = self._cut(name, count)
            if taken is None:
                await self._lease(name, count)
                taken = self._cut(name, count)
        assert taken is not None  # noqa: S101 - a lease is never smaller than what it was made for
        return taken

    def _cut(self, name: str, count: int) -> range | None:
        free = self._free.get(name, range(0))
        if len(free) < count:
            return None
        self._free[name] = free[count:]
        return free[:count]

    async def _lease(self, name: str, count: int) -> None:
        size = max(self._block, count)
        end = await self._database.run(lambda tx: int(tx.value(LEASE, (name, size))))
        leased = range(end - size + 1, end + 1)
        left = self._free.get(name, range(0))
        # What is left of the last block goes on into this one, unless another process leased in between.
        self._free[name] = range(left.start, leased.stop) if left and left.stop == leased.start else leased

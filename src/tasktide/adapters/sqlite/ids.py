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
        # The next free number of a name, and the end of its lease.
        self._free: dict[str, tuple[int, int]] = {}
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
        first, end = self._free.get(name, (0, 0))
        if end - first < count:
            return None
        self._free[name] = first + count, end
        return range(first, first + count)

    async def _lease(self, name: str, count: int) -> None:
        size = max(self._block, count)
        end = await self._database.run(lambda tx: int(tx.value(LEASE, (name, size))))
        first = end - size + 1
        left_from, left_to = self._free.get(name, (0, 0))
        # What is left of the last block goes on into this one, unless another process leased in between.
        self._free[name] = left_from if left_from < left_to == first else first, end + 1

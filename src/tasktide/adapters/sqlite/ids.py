"""Ids from leased blocks: one write for ten thousand numbers."""

from tasktide.adapters.sqlite.database import Database
from tasktide.ports.ids import Leased

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
        self._leased = Leased(self._lease, block)

    async def take(self, name: str, count: int = 1) -> range:
        """See the port."""
        return await self._leased.take(name, count)

    def has(self, name: str) -> bool:
        """See the port."""
        return self._leased.has(name)

    def take_now(self, name: str) -> int:
        """See the port."""
        return self._leased.take_now(name)

    async def _lease(self, name: str, size: int) -> range:
        end = await self._database.run(lambda tx: int(tx.value(LEASE, (name, size))))
        return range(end - size + 1, end + 1)

"""Ids from leased blocks of a row in PostgreSQL."""

from tasktide.adapters.postgres.database import Database
from tasktide.ports.ids import Leased

BLOCK = 1_000
# Moves the lease of a name forward and returns its new end. Primary key.
LEASE = """
INSERT INTO id_leases (name, leased) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET leased = id_leases.leased + excluded.leased RETURNING leased
"""


class PostgresIds:
    """`ports.ids.Ids` on the table `id_leases`. What a killed process had leased is skipped."""

    def __init__(self, database: Database, block: int = BLOCK) -> None:
        self._database = database
        self._leased = Leased(self.next, block)

    async def take(self, name: str, count: int = 1) -> range:
        """See the port."""
        return await self._leased.take(name, count)

    def has(self, name: str) -> bool:
        """See the port."""
        return self._leased.has(name)

    def take_now(self, name: str) -> int:
        """See the port."""
        return self._leased.take_now(name)

    async def next(self, name: str, count: int) -> range:
        """Numbers that grow over all processes, taken for this very purpose: one write each time."""
        end = int((await self._database.write(LEASE, name, count))[0][0])
        return range(end - count + 1, end + 1)

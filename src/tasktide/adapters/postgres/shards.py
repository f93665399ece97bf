"""The shards: which database holds which slot."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import structlog
from asyncpg.exceptions import UndefinedTableError

from tasktide import resources
from tasktide.adapters.postgres.database import Connection, Database
from tasktide.domain.errors import Unavailable
from tasktide.domain.slots import SLOTS, ring, slot_of

T = TypeVar("T")
V = TypeVar("V")

SQL = resources.statements(__package__, "shards")

# A replica that failed is not asked again for so long.
REST_S = 5.0


class ShardMissing(Exception):
    """The databases given are not those of the slot map."""


class Shards:
    """The databases of all shards, and the slot map that tells which holds what; of some shards a read replica."""

    def __init__(
        self, databases: Sequence[Database], of_slot: Sequence[int], replicas: Mapping[int, Database] | None = None
    ) -> None:
        self.databases = databases
        self._of_slot = of_slot
        self._replicas = replicas or {}
        self._rests_until = dict.fromkeys(self._replicas, 0.0)

    def holding(self, number: int) -> int:
        """The index of the shard that holds a user's inbox and tasks, or a task without a performer."""
        return self._of_slot[slot_of(number)]

    def grouped(self, items: Iterable[T], number: Callable[[T], int]) -> dict[int, list[T]]:
        """The items by the shard that holds their number, in order."""
        groups: dict[int, list[T]] = {}
        for item in items:
            groups.setdefault(self.holding(number(item)), []).append(item)
        return groups

    async def all(self, call: Callable[[Database], Awaitable[V]]) -> list[V]:
        """What the call gives on every shard, at once."""
        if len(self.databases) == 1:
            return [await call(self.databases[0])]
        return await asyncio.gather(*(call(database) for database in self.databases))

    async def look(self, call: Callable[[Database], Awaitable[V]]) -> list[V]:
        """As `all`, for reads that may be a moment behind: on the replica of a shard where one answers."""
        return await asyncio.gather(*(self._look(shard, call) for shard in range(len(self.databases))))

    async def _look(self, shard: int, call: Callable[[Database], Awaitable[V]]) -> V:
        replica = self._replicas.get(shard)
        if replica is not None and time.monotonic() >= self._rests_until[shard]:
            try:
                return await call(replica)
            except Unavailable as away:
                self._rests_until[shard] = time.monotonic() + REST_S
                structlog.get_logger("postgres").warning("a replica is away", shard=shard, detail=away.whole)
        return await call(self.databases[shard])


async def open_shards(base: Database, databases: Sequence[Database], replicas: Sequence[Database] = ()) -> Shards:
    """The shards with the slot map kept in `base`; the first time, the ring deals the slots out.

    Each shard carries its name with it, so that the order of addresses does not matter. ShardMissing when
    the map needs one that is not there. A shard without slots is allowed: it waits to be given some.
    """
    names = [await _name(database) for database in databases]
    async with base.transaction() as connection:
        await connection.execute(SQL["lock"])
        held = await _held(connection, names)
    if len(set(names)) < len(names):
        raise ShardMissing("two addresses in DB_SHARD_URLS are of the same database")
    missing = sorted(set(held) - set(names))
    if missing:
        raise ShardMissing(f"{len(missing)} of the shards that hold data are not among DB_SHARD_URLS")
    index = {name: n for n, name in enumerate(names)}
    return Shards(databases, [index[name] for name in held], await _replicas(replicas, index))


async def _replicas(given: Sequence[Database], index: Mapping[str, int]) -> dict[int, Database]:
    """The replicas by the shard that each one is of; one that is away now is left out."""
    found: dict[int, Database] = {}
    for replica in given:
        try:
            name = await replica.value(SQL["name"])
        except Unavailable as away:
            structlog.get_logger("postgres").warning("a replica is away and not used", detail=away.whole)
            continue
        except UndefinedTableError:
            name = None
        if name not in index:
            raise ShardMissing("an address in DB_REPLICA_URLS is not of a replica of one of the shards")
        found[index[name]] = replica
    return found


async def _name(database: Database) -> str:
    async with database.transaction() as connection:
        await connection.execute(SQL["lock"])
        found = await connection.value(SQL["name"])
        if found is None:
            found = secrets.token_hex(8)
            await connection.execute(SQL["baptize"], found)
        return str(found)


async def _held(connection: Connection, names: Sequence[str]) -> list[str]:
    rows = await connection.fetch(SQL["map"])
    if not rows:
        dealt = ring(names)
        await connection.execute(SQL["fill"], list(range(SLOTS)), dealt)
        return dealt
    return [shard for _, shard in rows]

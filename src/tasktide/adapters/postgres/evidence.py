"""The evidence in PostgreSQL: all shards, merged."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from tasktide import resources
from tasktide.adapters.postgres.database import Connection, Database
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.ports.evidence import Exceptions, KeptEvent, KeptNotification, KeptTask

T = TypeVar("T")

SQL = resources.statements(__package__, "evidence")
PAGE = 10_000
_ARRIVING = 2


class PostgresEvidence:
    """`ports.evidence.StoreEvidence`, a snapshot of each database, taken at the first look. Close it.

    Without snapshots, a task that is changed between two looks would have a history that is ahead of it. A task that
    is between two shards is shown once.
    """

    def __init__(self, base: Database, databases: Sequence[Database]) -> None:
        self._base = base
        self._databases = databases
        self._snapshots: dict[Database, Connection] = {}
        self._open = contextlib.AsyncExitStack()

    async def close(self) -> None:
        """Let the snapshots go."""
        await self._open.aclose()

    async def _fetch(self, database: Database, name: str, *arguments: Any) -> Sequence[Any]:
        if database not in self._snapshots:
            self._snapshots[database] = await self._open.enter_async_context(database.snapshot())
            await self._snapshots[database].execute(SQL["patient"])
        return await self._snapshots[database].fetch(SQL[name], *arguments)

    async def tasks(self) -> AsyncIterator[Sequence[KeptTask]]:
        """See the port."""
        async for rows in self._merged("tasks", (0,), lambda row: (row[0],)):
            settled = {row[0]: row for row in sorted(rows, key=lambda row: row[2] != _ARRIVING)}
            yield [KeptTask(TaskId(n), row[1].encode(), tuple(row[3:])) for n, row in sorted(settled.items())]

    async def history(self) -> AsyncIterator[Sequence[KeptEvent]]:
        """See the port."""
        async for rows in self._merged("history", (0, 0), lambda row: (row[0], row[1])):
            once = {(row[0], row[1]): row[2] for row in rows}
            yield [KeptEvent(TaskId(n), version, event.encode()) for (n, version), event in sorted(once.items())]

    async def notifications(self) -> AsyncIterator[Sequence[KeptNotification]]:
        """See the port."""
        async for rows in self._merged("notifications", (0,), lambda row: (row[0],)):
            yield [KeptNotification(NotificationId(row[0]), UserId(row[1]), row[2], tuple(row[3:])) for row in rows]

    async def exceptions(self) -> Exceptions:
        """See the port."""
        deleted = [row[0] for one in self._databases for row in await self._fetch(one, "deleted")]
        parked = await self._fetch(self._base, "parked")
        choosy = await self._fetch(self._base, "choosy")
        return Exceptions(
            frozenset(TaskId(n) for n in deleted),
            frozenset((row[0], row[1], row[2]) for row in parked),
            frozenset(UserId(row[0]) for row in choosy),
        )

    async def outgoing(self) -> int:
        """See the port."""
        return sum([int((await self._fetch(one, "outgoing"))[0][0]) for one in self._databases])

    async def damage(self) -> Sequence[str]:
        """See the port: PostgreSQL checks its own pages as it reads them."""
        return []

    async def _merged(
        self, name: str, start: tuple[int, ...], key: Callable[[Any], tuple[int, ...]]
    ) -> AsyncIterator[list[Any]]:
        """The rows of all shards in the order of their keys, all rows of a key in one page."""
        after = start
        while True:
            parts = [await self._fetch(one, name, *after, PAGE) for one in self._databases]
            full = [key(part[-1]) for part in parts if len(part) == PAGE]
            # Behind the end of a full page its shard may have more.
            limit = min(full) if full else None
            rows = sorted((row for part in parts for row in part if limit is None or key(row) <= limit), key=key)
            if rows:
                yield rows
            if limit is None:
                return
            after = limit

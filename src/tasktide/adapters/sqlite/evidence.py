"""The evidence in SQLite files, read beside a server or without one."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasktide import resources
from tasktide.adapters.sqlite.database import Transaction, connect
from tasktide.adapters.sqlite.reader import progress, unpacked
from tasktide.domain.events import TASK_INGESTED
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.ports.evidence import Exceptions, KeptEvent, KeptNotification, KeptRecord, KeptTask

SQL = resources.statements(__package__, "evidence")

PAGE = 10_000
BATCHES = 100


class SqliteEvidence:
    """`ports.evidence.LogEvidence` and `StoreEvidence` in two snapshots.

    The submissions' comes first, so that what it calls stored is.
    """

    def __init__(self, main: sqlite3.Connection, submissions: sqlite3.Connection, *, is_outbox: bool) -> None:
        self._main = main
        self._submissions = submissions
        self._is_outbox = is_outbox

    async def log(self, topic: str) -> AsyncIterator[Sequence[KeptRecord]]:
        """See the port."""
        after = 0
        while rows := await self._all(self._home(topic), "log", (topic, after, BATCHES)):
            records = [record for last, count, body in rows for record in unpacked(last, count, body)]
            yield [KeptRecord(0, record.position, record) for record in records]
            after = rows[-1][0]

    async def tasks(self) -> AsyncIterator[Sequence[KeptTask]]:
        """See the port."""
        after = 0
        while rows := await self._all(self._main, "tasks", (after, PAGE)):
            yield [KeptTask(TaskId(one[0]), one[1].encode(), one[2:]) for one in rows]
            after = rows[-1][0]

    async def history(self) -> AsyncIterator[Sequence[KeptEvent]]:
        """See the port."""
        after = (0, 0)
        while rows := await self._all(self._main, "history", (*after, PAGE)):
            yield [KeptEvent(TaskId(one[0]), one[1], one[2].encode()) for one in rows]
            after = rows[-1][:2]

    async def notifications(self) -> AsyncIterator[Sequence[KeptNotification]]:
        """See the port."""
        after = 0
        while rows := await self._all(self._main, "notifications", (after, PAGE)):
            yield [KeptNotification(NotificationId(one[0]), UserId(one[1]), one[2], one[3:]) for one in rows]
            after = rows[-1][0]

    async def committed(self, topic: str, group: str) -> Mapping[int, int]:
        """See the port."""
        return {0: progress(Transaction(self._home(topic)), topic, group)[1]}

    async def outgoing(self) -> int:
        """See the port: where the log is elsewhere, what stands in these tables is on its way there."""
        return int((await self._all(self._main, "records"))[0][0]) if self._is_outbox else 0

    async def exceptions(self) -> Exceptions:
        """See the port."""
        return Exceptions(
            frozenset(TaskId(one[0]) for one in await self._all(self._main, "deleted")),
            frozenset((one[0], one[1], one[2]) for one in await self._all(self._main, "parked")),
            frozenset(UserId(one[0]) for one in await self._all(self._main, "choosy")),
        )

    async def damage(self) -> Sequence[str]:
        """See the port."""
        found = [
            f"{name}: {row[0]}"
            for name, connection in (("tasktide.db", self._main), ("submissions.db", self._submissions))
            for row in await asyncio.to_thread(lambda: self._check(connection))  # noqa: B023 - awaited within the turn
        ]
        return [line for line in found if not line.endswith(": ok")]

    def _home(self, topic: str) -> sqlite3.Connection:
        return self._submissions if topic == TASK_INGESTED else self._main

    def _check(self, connection: sqlite3.Connection) -> list[tuple[str]]:
        return connection.execute(SQL["damage"]).fetchall()

    async def _all(self, connection: sqlite3.Connection, name: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return await asyncio.to_thread(lambda: connection.execute(SQL[name], parameters).fetchall())


@contextlib.contextmanager
def evidence(main: Path, submissions: Path, *, is_outbox: bool = False) -> Iterator[SqliteEvidence]:
    """The evidence in two files, as they are now; sqlite3.Error when they cannot be read.

    `is_outbox` tells that the log is elsewhere, and what the stores have to say to it is in these.
    """
    with contextlib.ExitStack() as stack:
        snapshots = []
        for path in (submissions, main):
            connection = stack.enter_context(contextlib.closing(connect(str(path), readonly=True)))
            connection.execute("BEGIN")
            connection.execute(SQL["snapshot"]).fetchone()  # a snapshot is taken by the first read
            snapshots.append(connection)
        yield SqliteEvidence(snapshots[1], snapshots[0], is_outbox=is_outbox)

"""The outbox of one shard."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
from asyncpg import InterfaceError

from tasktide import resources
from tasktide.adapters.postgres.database import Database, translated
from tasktide.ports.log import Record
from tasktide.ports.outbox import Outgoing

SQL = resources.statements(__package__, "outbox")
# A look gives so many bytes, and what the last row has beyond: the log's client holds what it is sending in memory.
MOST_BYTES = 16 * 1024 * 1024

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[tuple[str, str, bytes]]).decode


def packed(records: Sequence[Record]) -> bytes:
    """Records as a row of the outbox holds them."""
    return _pack([(one.topic, one.key, one.value) for one in records])


class PostgresOutbox:
    """`ports.outbox.Outbox` on the table `outbox`, woken by NOTIFY.

    The relay that holds the shard's advisory lock is the only one that reads it: numbers are given in the order of
    commits for each task, since whoever changes one has its row locked when the number is drawn.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self.name = name
        self._stack: contextlib.AsyncExitStack | None = None
        self._connection: Any = None
        # Whether there may be more than the last look gave.
        self._woken = asyncio.Event()
        # Whether what the last look gave is not done: it is there to be given again, and nobody says so.
        self._is_given = False
        # Rows that the log has: the next look removes them.
        self._gone: list[int] = []

    async def take(self, limit: int, wait_s: float) -> Outgoing | None:
        """See the port."""
        try:
            return await self._take(limit, wait_s)
        except BaseException:
            await self.release()
            raise

    async def done(self, outgoing: Outgoing) -> None:
        """See the port."""
        self._is_given = False
        self._gone = outgoing.token
        if not self._woken.is_set():  # else the next look follows at once
            await self._forget()

    async def release(self) -> None:
        """See the port."""
        stack, self._stack = self._stack, None
        connection, self._connection = self._connection, None
        gone, self._gone = self._gone, []
        if stack is None:
            return
        try:
            await connection.remove_listener("outbox", self._wake)
            await connection.execute(SQL["done"], gone)
            await connection.execute(SQL["release"])
        except Exception:  # noqa: BLE001 - whatever it is, whoever uses the connection next must not hold our lock
            _end(connection)
        with contextlib.suppress(Exception):
            await stack.aclose()

    async def _take(self, limit: int, wait_s: float) -> Outgoing | None:
        if self._connection is None and not await self._hold():
            await asyncio.sleep(wait_s)
            return None
        if not self._is_given:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
        self._woken.clear()
        return await self._read(limit)

    async def _hold(self) -> bool:
        stack = contextlib.AsyncExitStack()
        connection: Any = None
        try:
            connection = await stack.enter_async_context(self._database.using())
            with translated():
                if not await connection.fetchval(SQL["hold"]):
                    await stack.aclose()
                    return False
                await connection.add_listener("outbox", self._wake)
        except BaseException:
            if connection is not None:
                _end(connection)  # it may hold the lock
            with contextlib.suppress(Exception):
                await stack.aclose()
            raise
        self._stack, self._connection = stack, connection
        self._woken.set()
        return True

    async def _read(self, limit: int) -> Outgoing | None:
        with translated():
            rows = await self._connection.fetch(SQL["take"], limit, self._gone, MOST_BYTES)
        self._gone = []
        self._is_given = bool(rows)
        if not rows:
            return None
        records = [Record(topic, key, value) for _, body in rows for topic, key, value in _unpack(body)]
        if len(rows) >= limit or len(records) >= limit or sum(len(row[1]) for row in rows) >= MOST_BYTES:
            self._woken.set()
        return Outgoing([row[0] for row in rows], records)

    async def _forget(self) -> None:
        with translated():
            await self._connection.execute(SQL["done"], self._gone)
        self._gone = []

    def _wake(self, *_: Any) -> None:
        self._woken.set()


def _end(connection: Any) -> None:
    """Close a connection, unless it has ended by itself."""
    with contextlib.suppress(InterfaceError):
        connection.terminate()

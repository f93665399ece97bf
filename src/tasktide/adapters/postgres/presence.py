"""That servers which share nothing but the database do not run beside each other."""

import asyncio
import contextlib
from typing import Any

import asyncpg
import structlog

from tasktide import resources
from tasktide.adapters.postgres.database import CONNECT_S, ENGINE, translated
from tasktide.domain.errors import Unavailable

SQL = resources.statements(__package__, "presence")
AGAIN_S = 1.0
# How often the database is asked whether the connection still stands.
LOOK_S = 10.0
# A server whose machine is gone is noticed by the database within half a minute.
_SETTINGS = {
    "application_name": "tasktide presence",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}


class Presence:
    """A lock of the database that a connection of its own holds for as long as the process lives.

    A server with a log, a cache or push of its own must be `alone`: another one would not hear what happened here.
    Those that share them all are there together.
    """

    def __init__(self, url: str, *, alone: bool) -> None:
        self._url = url
        self._statement = SQL["alone" if alone else "among"]
        self._connection: Any = None
        self._ended = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        """Take the lock, and keep it; Unavailable when the database is away, or another server's."""
        await self._take()
        self._keeping = asyncio.create_task(self._keep(), name="presence")

    async def close(self) -> None:
        """Let others have it; twice is fine."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        connection, self._connection = self._connection, None
        if connection is not None:
            await _end(connection)

    async def _take(self) -> None:
        with translated():
            connection = await asyncpg.connect(self._url, timeout=CONNECT_S, server_settings=_SETTINGS)
            try:
                is_held = await connection.fetchval(self._statement, timeout=CONNECT_S)
            except BaseException:
                connection.terminate()
                raise
        if not is_held:
            await _end(connection)
            raise Unavailable(
                ENGINE,
                "Another server works on this database; set KAFKA_BROKERS and REDIS_URL for all of them, or stop it.",
            )
        self._ended.clear()
        connection.add_termination_listener(lambda _: self._ended.set())
        self._connection = connection

    async def _keep(self) -> None:
        """Take it again when it was lost; what the database did without us cannot be undone, but is said."""
        told = ""
        while True:
            if self._connection is not None:
                if await self._is_there():
                    told = ""
                    continue
                self._connection.terminate()
                self._connection = None
            try:
                await self._take()
            except Exception as failed:  # noqa: BLE001 - whatever it is, it is tried again
                if str(failed) != told:
                    told = str(failed)
                    structlog.get_logger("tasktide").error("presence lost", detail=told)
                await asyncio.sleep(AGAIN_S)

    async def _is_there(self) -> bool:
        """Wait for a while for the end of the connection, then ask: a line may be cut without a word."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._ended.wait()
                return False
        try:
            await self._connection.fetchval("SELECT 1", timeout=CONNECT_S)
        except Exception:  # noqa: BLE001 - whatever it is, the lock may be somebody else's
            return False
        return True


async def _end(connection: Any) -> None:
    """The session ends in any case, and its lock with it."""
    try:
        await connection.close(timeout=CONNECT_S)
    except Exception:  # noqa: BLE001 - what cannot be closed is dropped
        connection.terminate()

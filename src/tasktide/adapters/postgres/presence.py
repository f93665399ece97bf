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
        self._returning: asyncio.Task[None] | None = None
        self._is_closed = False

    async def hold(self) -> None:
        """Take the lock; Unavailable when the database is away, or another server's."""
        with translated():
            connection = await asyncpg.connect(self._url, timeout=CONNECT_S, server_settings=_SETTINGS)
            try:
                is_held = await connection.fetchval(self._statement, timeout=CONNECT_S)
            except BaseException:
                connection.terminate()
                raise
        if not is_held:
            await connection.close(timeout=CONNECT_S)
            raise Unavailable(
                ENGINE,
                "Another server works on this database; set KAFKA_BROKERS and REDIS_URL for all of them, or stop it.",
            )
        self._connection = connection
        connection.add_termination_listener(self._lost)

    async def close(self) -> None:
        """Let others have it; twice is fine."""
        self._is_closed = True
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.wait([self._returning])
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # the session ends either way, and the lock with it
                await connection.close(timeout=CONNECT_S)

    def _lost(self, _: Any) -> None:
        self._connection = None
        if not self._is_closed:
            self._returning = asyncio.create_task(self._return(), name="presence")

    async def _return(self) -> None:
        """Take it again; what the database did without us cannot be undone, but is said."""
        told = ""
        while True:
            try:
                await self.hold()
            except Unavailable as refused:
                if refused.detail != told:
                    told = refused.detail
                    structlog.get_logger("tasktide").error("presence lost", detail=told)
                await asyncio.sleep(AGAIN_S)
            else:
                return

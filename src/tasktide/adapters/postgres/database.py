"""One PostgreSQL database: a bounded pool of connections, and what its failures mean to us."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg
from asyncpg import exceptions

from tasktide.domain.errors import Unavailable

T = TypeVar("T")

ENGINE = "postgres"
CONNECTIONS = 10
STATEMENT_S = 15.0
CONNECT_S = 5.0
# A client that vanishes in the middle of a transaction keeps its locks no longer than this.
IDLE_IN_TRANSACTION_MS = 10_000
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    exceptions.PostgresConnectionError,
    exceptions.OperatorInterventionError,
    exceptions.InsufficientResourcesError,
    exceptions.TransactionRollbackError,
    exceptions.ReadOnlySQLTransactionError,
    exceptions.IdleInTransactionSessionTimeoutError,
    exceptions.InternalClientError,
    exceptions.QueryCanceledError,
    exceptions.InvalidAuthorizationSpecificationError,
    exceptions.InvalidCatalogNameError,
    exceptions.PostgresSystemError,
)
# The connection was lost: whether a write took place is unknown, a read may simply be asked again.
_LOST = (OSError, exceptions.ConnectionDoesNotExistError, exceptions.AdminShutdownError, asyncpg.InterfaceError)


class Connection:
    """What a work may do inside a transaction."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._timeout_s: float | None = None

    async def allow(self, seconds: float) -> None:
        """Let the statements of this transaction take so long, not `STATEMENT_S`."""
        self._timeout_s = seconds
        await self._raw.execute(f"SET LOCAL statement_timeout = {round(seconds * 1_000)}")

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """All rows."""
        rows: Sequence[Any] = await self._raw.fetch(sql, *arguments, timeout=self._timeout_s)
        return rows

    async def value(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, None without rows."""
        return await self._raw.fetchval(sql, *arguments, timeout=self._timeout_s)

    async def execute(self, sql: str, *arguments: Any) -> int:
        """Run one statement; how many rows it touched."""
        return _rows(await self._raw.execute(sql, *arguments, timeout=self._timeout_s))

    async def script(self, sql: str) -> None:
        """Run many statements without arguments."""
        await self._raw.execute(sql, timeout=self._timeout_s)


class Database:
    """Connects when it is first used, and again when the server is back. Unavailable while it is away."""

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        self._url = url
        self._most = connections
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """All rows of a statement that only reads; asked again when the connection was lost."""
        rows: Sequence[Any] = await self._again(lambda raw: raw.fetch(sql, *arguments))
        return rows

    async def value(self, sql: str, *arguments: Any) -> Any:
        """As `fetch`, the first column of the first row."""
        return await self._again(lambda raw: raw.fetchval(sql, *arguments))

    async def write(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """The rows of one statement that changes something, in a transaction of its own."""
        async with self.using() as raw:
            rows: Sequence[Any] = await raw.fetch(sql, *arguments)
            return rows

    async def execute(self, sql: str, *arguments: Any) -> int:
        """Run one statement in a transaction of its own; how many rows it touched."""
        async with self.using() as raw:
            return _rows(await raw.execute(sql, *arguments))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that ends with the block."""
        async with self.using() as raw, raw.transaction():
            yield Connection(raw)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A transaction that reads everything as it was at its first look, and changes nothing."""
        async with self.using() as raw, raw.transaction(isolation="repeatable_read", readonly=True):
            yield Connection(raw)

    @contextlib.asynccontextmanager
    async def using(self) -> AsyncIterator[Any]:
        """A connection of the pool for a while. It goes back as it is, a transaction that is still open aside."""
        with translated():
            pool = await self._open()
            async with pool.acquire(timeout=CONNECT_S) as raw:
                yield raw

    async def ping(self) -> None:
        """Return when the server answers; Unavailable when it does not."""
        await self.value("SELECT 1")

    async def close(self) -> None:
        """Close all connections; twice is fine."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def _again(self, call: Callable[[Any], Awaitable[T]]) -> T:
        with translated():
            pool = await self._open()
            try:
                async with pool.acquire(timeout=CONNECT_S) as raw:
                    return await call(raw)
            except _LOST as error:
                if isinstance(error, TimeoutError | ValueError):
                    raise  # not lost: it takes too long, and would again; or our argument is at fault
                async with pool.acquire(timeout=CONNECT_S) as raw:
                    return await call(raw)

    async def _open(self) -> asyncpg.Pool:
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    self._pool = await asyncpg.create_pool(
                        self._url,
                        min_size=0,  # connections are made when they are needed, not kept up in the background
                        max_size=self._most,
                        timeout=CONNECT_S,
                        command_timeout=STATEMENT_S,
                        max_inactive_connection_lifetime=60,
                        reset=_leave,
                        server_settings={
                            "application_name": "tasktide",
                            "statement_timeout": str(round(STATEMENT_S * 1_000)),
                            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
                            "jit": "off",
                        },
                    )
        return self._pool


async def _leave(_connection: Any) -> None:
    """Give a connection back as it is: asking the server to forget its settings doubled the calls of a statement."""


@contextlib.contextmanager
def translated() -> Any:
    """Unavailable when the engine cannot serve at present; other errors are our statement's fault and stay."""
    try:
        yield
    except _AWAY as error:
        if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
            raise  # the client's own word for an argument that does not fit its column
        raise Unavailable.since(ENGINE, "The store cannot serve this now.", error) from error


def _rows(tag: str) -> int:
    """How many rows a command tag such as `UPDATE 3` speaks of."""
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0

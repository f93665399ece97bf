"""The engines under contract: each opens all stores on fresh data."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from support import stack
from support.clock import FakeClock
from tasktide.adapters.memory.cache import MemoryCache
from tasktide.adapters.memory.push import MemoryPush
from tasktide.adapters.postgres import migrate as postgres_migrate
from tasktide.adapters.postgres import shards as postgres_shards
from tasktide.adapters.postgres.database import Database as Postgres
from tasktide.adapters.postgres.ids import PostgresIds
from tasktide.adapters.postgres.jobs import PostgresJobs
from tasktide.adapters.postgres.letters import PostgresLetters
from tasktide.adapters.postgres.moves import Moves
from tasktide.adapters.postgres.notifications import PostgresNotifications
from tasktide.adapters.postgres.outbox import PostgresOutbox
from tasktide.adapters.postgres.replies import PostgresReplies
from tasktide.adapters.postgres.tasks import PostgresTasks
from tasktide.adapters.postgres.users import PostgresPreferences, PostgresSessions, PostgresUsers
from tasktide.adapters.postgres.webhooks import PostgresWebhooks
from tasktide.adapters.prometheus.metrics import PrometheusMetrics
from tasktide.adapters.sqlite import database, migrate
from tasktide.adapters.sqlite.database import MEMORY, Database
from tasktide.adapters.sqlite.ids import SqliteIds
from tasktide.adapters.sqlite.jobs import SqliteJobs
from tasktide.adapters.sqlite.letters import SqliteLetters
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.adapters.sqlite.notifications import SqliteNotifications
from tasktide.adapters.sqlite.replies import SqliteReplies
from tasktide.adapters.sqlite.tasks import SqliteTasks
from tasktide.adapters.sqlite.users import SqlitePreferences, SqliteSessions, SqliteUsers
from tasktide.adapters.sqlite.webhooks import SqliteWebhooks
from tasktide.pipelines import relay
from tasktide.pipelines.relay import Relay
from tasktide.ports.cache import Cache
from tasktide.ports.ids import Ids
from tasktide.ports.jobs import Jobs
from tasktide.ports.letters import Letters
from tasktide.ports.log import Log
from tasktide.ports.notifications import NotificationStore
from tasktide.ports.push import Push
from tasktide.ports.replies import Replies
from tasktide.ports.tasks import TaskStore
from tasktide.ports.users import PreferenceStore, SessionStore, UserStore
from tasktide.ports.webhooks import WebhookStore

_HANGING = ("task_observers", "task_labels", "task_history")
ENGINES = ("sqlite-memory", "sqlite-file", "postgres")
# Those that find their data again when they are opened anew.
LASTING = ("sqlite-file", "postgres")


@dataclass
class Interposed:
    """What is awaited before each write of the stores: it may fail, or never end."""

    before: Callable[[], Awaitable[None]] | None = None

    async def __call__(self) -> None:
        if self.before is not None:
            await self.before()


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine's stores, and its clock. `query` asks the stores in SQL."""

    clock: FakeClock
    tasks: TaskStore
    users: UserStore
    sessions: SessionStore
    preferences: PreferenceStore
    webhooks: WebhookStore
    notifications: NotificationStore
    log: Log
    letters: Letters
    jobs: Jobs
    replies: Replies
    ids: Ids
    cache: Cache
    push: Push
    query: Callable[[str], Awaitable[list[tuple[Any, ...]]]]
    interposed: Interposed
    outboxes: list[Postgres] = field(default_factory=list)

    async def waiting(self) -> int:
        """How many deliveries are queued, due or not."""
        [(count,)] = await self.query("SELECT count(*) FROM deliveries WHERE state = 'waiting'")
        return int(count)

    async def settle(self) -> None:
        """Return when the log has what the stores have to say."""
        for one in self.outboxes:
            while await one.value("SELECT EXISTS (SELECT 1 FROM outbox)"):
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def open_engine(
    name: str, folder: Path, clock: FakeClock | None = None, *, again: bool = False
) -> AsyncIterator[Engine]:
    """An engine on a folder, empty at first; opened `again`, a lasting engine has its data still."""
    clock = clock or FakeClock()
    opened = _postgres(folder, clock, again=again) if name == "postgres" else _sqlite(name, folder, clock)
    async with opened as engine:
        yield engine


@contextlib.asynccontextmanager
async def open_base(name: str, folder: Path, clock: FakeClock) -> AsyncIterator[tuple[Database, SqliteLog]]:
    """The embedded database and log alone."""
    base = _open(name, folder)
    # As in production, submissions have a file of their own; in memory there is one for all.
    submissions = None if name == "sqlite-memory" else _open_file(folder / "submissions.db", migrate.SUBMISSIONS)
    if name == "sqlite-memory":
        await base.run(lambda tx: _script(tx.connection))
    try:
        yield base, SqliteLog(base, clock, submissions)
    finally:
        if submissions is not None:
            await submissions.close()
        await base.close()


@contextlib.asynccontextmanager
async def _sqlite(name: str, folder: Path, clock: FakeClock) -> AsyncIterator[Engine]:
    async with open_base(name, folder, clock) as (base, log):
        ids = SqliteIds(base, block=10)
        interposed = Interposed()
        _guard_embedded(base, interposed)

        async def query(sql: str) -> list[tuple[Any, ...]]:
            return await base.read(lambda tx: tx.execute(sql).fetchall())

        yield Engine(
            clock=clock,
            tasks=SqliteTasks(base, log, clock),
            users=SqliteUsers(base),
            sessions=SqliteSessions(base),
            preferences=SqlitePreferences(base),
            webhooks=SqliteWebhooks(base),
            notifications=SqliteNotifications(base, lambda count: ids.take("notifications", count)),
            log=log,
            letters=SqliteLetters(base, log),
            jobs=SqliteJobs(base, clock),
            replies=SqliteReplies(base, clock),
            ids=ids,
            cache=MemoryCache(clock),
            push=MemoryPush(),
            query=query,
            interposed=interposed,
        )


@contextlib.asynccontextmanager
async def _postgres(folder: Path, clock: FakeClock, *, again: bool) -> AsyncIterator[Engine]:
    async with contextlib.AsyncExitStack() as exits:
        base, *databases = [await scratch_database(url) for url in _urls()]
        for one in (base, *databases):
            exits.push_async_callback(one.close)
        if not again:
            await _empty(base, databases)
        shards = await postgres_shards.open_shards(base, databases)
        log_base, log = await exits.enter_async_context(open_base("sqlite-file", folder, clock))
        interposed = Interposed()
        _guard_embedded(log_base, interposed)
        for one in (base, *databases):
            _guard(one, interposed)
        moves = Moves(shards, clock)
        exits.push_async_callback(moves.close)
        ids = PostgresIds(base, block=10)
        relay.WAIT_S = 0.02
        relays = [
            Relay(outbox=PostgresOutbox(database, str(n)), log=log, metrics=PrometheusMetrics())
            for n, database in enumerate(databases)
        ]
        for running in relays:
            running.start()
            exits.push_async_callback(running.stop)

        async def query(sql: str) -> list[tuple[Any, ...]]:
            asked = databases if "FROM notifications" in sql else [base]
            parts = [await one.fetch(sql) for one in asked]
            return sorted(tuple(row) for part in parts for row in part)

        yield Engine(
            clock=clock,
            tasks=PostgresTasks(shards, clock, moves),
            users=PostgresUsers(base),
            sessions=PostgresSessions(base),
            preferences=PostgresPreferences(base),
            webhooks=PostgresWebhooks(base),
            notifications=PostgresNotifications(shards, lambda count: ids.next("notifications", count)),
            log=log,
            letters=PostgresLetters(base, log),
            jobs=PostgresJobs(base, clock),
            replies=PostgresReplies(base, clock),
            ids=ids,
            cache=MemoryCache(clock),
            push=MemoryPush(),
            query=query,
            interposed=interposed,
            outboxes=databases,
        )


def _urls() -> list[str]:
    """Databases of our own on the stack's servers: for users, and for three shards."""
    found = stack.variables()
    return [found["DATABASE_URL"] + "_test", *(url + "_test" for url in found["DB_SHARD_URLS"].split(","))]


async def scratch_database(url: str) -> Postgres:
    """A database of the tests' own on a server of the stack, made when it is not there; its schema is not."""
    server, _, name = url.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")  # what is here may be lost
    finally:
        await connection.close()
    return Postgres(url, connections=6)


_KEPT_ONCE = (
    "id_leases",
    "users",
    "sessions",
    "preferences",
    "webhooks",
    "deliveries",
    "dead_letters",
    "letters_gone",
    "replies",
    "slot_map",
)


async def _empty(base: Postgres, databases: list[Postgres]) -> None:
    await postgres_migrate.migrate(base, postgres_migrate.USERS)
    for table in _KEPT_ONCE:
        await base.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    for one in databases:
        await postgres_migrate.migrate(one, postgres_migrate.SHARD)
        for table in (*_HANGING, "tasks", "task_tombstones", "notifications", "outbox"):
            await one.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        await one.execute("UPDATE task_totals SET done = 0, processing_ms = 0")
        await one.execute("UPDATE notification_numbers SET last = 0, leased = 0")


def _guard_embedded(base: Database, interposed: Interposed) -> None:
    run = base.run

    async def guarded(work: Any, *, is_whole: bool = False) -> Any:
        await interposed()
        return await run(work, is_whole=is_whole)

    base.run = guarded  # type: ignore[method-assign]


def _guard(one: Postgres, interposed: Interposed) -> None:
    using = one.using

    @contextlib.asynccontextmanager
    async def guarded() -> AsyncIterator[Any]:
        await interposed()
        async with using() as raw:
            yield raw

    one.using = guarded  # type: ignore[method-assign]


def _open(name: str, folder: Path) -> Database:
    if name == "sqlite-memory":
        return Database(MEMORY)
    return _open_file(folder / "tasktide.db", migrate.MAIN)


def _open_file(path: Path, scripts_of: str) -> Database:
    with contextlib.closing(database.connect(str(path))) as connection:
        migrate.migrate(connection, scripts_of)
    return Database(path)


def _script(connection: sqlite3.Connection) -> None:
    for _, script in migrate.migrations():
        migrate.apply(connection, script)

"""The stores, and the log beside them: on SQLite, or on PostgreSQL shards."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from tasktide.adapters.sqlite import whole
from tasktide.adapters.sqlite.database import Database
from tasktide.adapters.sqlite.ids import SqliteIds
from tasktide.adapters.sqlite.jobs import SqliteJobs, release_leases
from tasktide.adapters.sqlite.letters import SqliteLetters
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.adapters.sqlite.notifications import SqliteNotifications
from tasktide.adapters.sqlite.outbox import SqliteOutbox
from tasktide.adapters.sqlite.replies import SqliteReplies
from tasktide.adapters.sqlite.tasks import SqliteTasks
from tasktide.adapters.sqlite.users import SqlitePreferences, SqliteSessions, SqliteUsers
from tasktide.adapters.sqlite.webhooks import SqliteWebhooks
from tasktide.adapters.system import lock
from tasktide.domain import events
from tasktide.domain.errors import Unavailable
from tasktide.ports.clock import Clock
from tasktide.ports.ids import Ids
from tasktide.ports.intake import Intake, LogIntake, StoreIntake
from tasktide.ports.jobs import Jobs
from tasktide.ports.letters import Letters
from tasktide.ports.log import Log
from tasktide.ports.metrics import Metrics
from tasktide.ports.notifications import NotificationStore
from tasktide.ports.outbox import Outbox
from tasktide.ports.replies import Replies
from tasktide.ports.tasks import TaskStore
from tasktide.ports.users import PreferenceStore, SessionStore, UserStore
from tasktide.ports.webhooks import WebhookStore
from tasktide.settings import Settings
from tasktide.wiring.embedded import (
    DATABASE_FILE,
    SUBMISSIONS_FILE,
    CannotStart,
    migrate_folder,
    or_cannot_start,
)

# How long a process waits at its start for an engine that is away, and how often it looks.
START_S = 60.0
LOOK_S = 0.5

Ping = Callable[[], Awaitable[None]]
# The engines by what they are for, then by name: one may serve as store and as log.
Pings = Mapping[str, Mapping[str, Ping]]


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Every store, the log, and what carries from one to the other."""

    log: Log
    intake: Intake
    tasks: TaskStore
    users: UserStore
    sessions: SessionStore
    preferences: PreferenceStore
    webhooks: WebhookStore
    notifications: NotificationStore
    letters: Letters
    jobs: Jobs
    replies: Replies
    ids: Ids
    pings: Pings
    outboxes: Sequence[Outbox] = ()
    upkeep: Mapping[str, Callable[[], Awaitable[int]]] = field(default_factory=dict)


async def open_stores(
    settings: Settings, clock: Clock, metrics: Metrics, stack: contextlib.AsyncExitStack, *, server: bool
) -> Stores:
    """The stores that the settings ask for, closed with the stack."""
    if settings.database_url is None:
        return await _on_sqlite(settings, clock, metrics, stack, server=server)
    return await _on_postgres(settings, clock, stack, server=server)


async def patiently(what: str, call: Callable[[], Awaitable[None]]) -> None:
    """Wait for an engine that is away; CannotStart when it does not come."""
    deadline = time.monotonic() + START_S
    told = False
    while True:
        try:
            await call()
        except Unavailable as away:
            if time.monotonic() > deadline:
                raise CannotStart(f"{what}: {away.whole}") from None
            if not told:
                structlog.get_logger("tasktide").warning("waiting", engine=away.engine, detail=away.whole)
                told = True
            await asyncio.sleep(LOOK_S)
        else:
            return


async def _on_sqlite(
    settings: Settings, clock: Clock, metrics: Metrics, stack: contextlib.AsyncExitStack, *, server: bool
) -> Stores:
    base, submissions = _open_folder(settings, stack, server=server)
    embedded = SqliteLog(base, clock, submissions)
    if server:
        if await whole.is_torn(base, submissions):
            raise CannotStart(
                f"{DATABASE_FILE} in {settings.data_dir} is of an earlier moment than {SUBMISSIONS_FILE}: "
                "put back files of one backup, both."
            )
        if await whole.leap(base, clock.now()):
            structlog.get_logger("tasktide").info("restored", detail="This is a copy: its ids go on far behind.")
        await release_leases(base, clock)
    log = await _kafka(settings, stack) if settings.kafka_brokers else embedded
    # With the log elsewhere, the tables of the embedded one are where the stores leave what they have to say.
    outboxes = [SqliteOutbox(embedded, topic) for topic in events.READERS] if log is not embedded else []
    ids = SqliteIds(base) if server else SqliteIds(base, block=1)
    tasks = SqliteTasks(base, embedded, clock)
    # Only where stores and log share a transaction is what is stored said at once.
    is_one = log is embedded
    return Stores(
        log=log,
        intake=StoreIntake(store=tasks, log=log, clock=clock, metrics=metrics) if is_one else LogIntake(log),
        tasks=tasks,
        users=SqliteUsers(base),
        sessions=SqliteSessions(base),
        preferences=SqlitePreferences(base),
        webhooks=SqliteWebhooks(base),
        notifications=SqliteNotifications(base, lambda count: ids.take("notifications", count)),
        letters=SqliteLetters(base, embedded),
        jobs=SqliteJobs(base, clock),
        replies=SqliteReplies(base, clock),
        ids=ids,
        pings={"store": {"sqlite": embedded.ping}, "log": {"kafka" if settings.kafka_brokers else "sqlite": log.ping}},
        outboxes=outboxes,
    )


async def _on_postgres(settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack, *, server: bool) -> Stores:
    # Imported where it is used: the embedded engines start without it.
    from tasktide.adapters.postgres import stores as postgres  # noqa: PLC0415

    if settings.kafka_brokers:
        log: Log = await _kafka(settings, stack)
    else:
        base, submissions = _open_folder(settings, stack, server=server)
        log = SqliteLog(base, clock, submissions)
    opened = postgres.Stores(
        settings.database_url or "",
        settings.shard_urls,
        clock,
        log,
        connections=settings.database_connections,
        replica_urls=settings.replica_urls,
    )
    stack.push_async_callback(opened.close)
    if server:
        shares_all = bool(settings.kafka_brokers and settings.redis_url)
        presence = postgres.Presence(settings.database_url or "", alone=not shares_all)
        stack.push_async_callback(presence.close)
        await patiently("DATABASE_URL", presence.hold)
    try:
        await patiently("DATABASE_URL and DB_SHARD_URLS", opened.open)
    except (postgres.SchemaTooNew, postgres.ShardMissing) as wrong:
        raise CannotStart(f"{wrong}.") from None
    return Stores(
        log=log,
        intake=LogIntake(log),
        tasks=opened.tasks,
        users=opened.users,
        sessions=opened.sessions,
        preferences=opened.preferences,
        webhooks=opened.webhooks,
        notifications=opened.notifications,
        letters=opened.letters,
        jobs=opened.jobs,
        replies=opened.replies,
        ids=opened.ids,
        pings={"store": opened.pings, "log": {"kafka" if settings.kafka_brokers else "sqlite": log.ping}},
        outboxes=opened.outboxes,
        upkeep={"moves": opened.moves.sweep},
    )


def _open_folder(settings: Settings, stack: contextlib.AsyncExitStack, *, server: bool) -> tuple[Database, Database]:
    """The files of the data folder, all and submissions; a server holds it for itself."""
    folder = settings.data_dir
    with or_cannot_start(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if server:
            stack.enter_context(lock.hold(folder))
        migrate_folder(folder)
        base = Database(folder / DATABASE_FILE)
        stack.push_async_callback(base.close)
        submissions = Database(folder / SUBMISSIONS_FILE)
        stack.push_async_callback(submissions.close)
    return base, submissions


async def _kafka(settings: Settings, stack: contextlib.AsyncExitStack) -> Log:
    from tasktide.adapters.kafka.log import KafkaLog  # noqa: PLC0415

    log = KafkaLog(
        settings.kafka_brokers or "",
        settings.kafka_prefix,
        partitions=settings.kafka_partitions,
        replication=settings.kafka_replication,
    )
    stack.push_async_callback(log.close)
    await patiently("KAFKA_BROKERS", log.make_topics)
    return log

"""From settings to ports: the one place that chooses engines, and opens and closes them."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasktide.adapters.console.mail import ConsoleMailer
from tasktide.adapters.memory.cache import MemoryCache
from tasktide.adapters.memory.limits import MemoryLimits
from tasktide.adapters.memory.push import MemoryPush
from tasktide.adapters.prometheus.metrics import PrometheusMetrics
from tasktide.adapters.security.passwords import Argon2Passwords
from tasktide.adapters.security.tokens import JwtTokens
from tasktide.adapters.sqlite import database, evidence, migrate
from tasktide.adapters.sqlite.database import Database
from tasktide.adapters.sqlite.ids import SqliteIds
from tasktide.adapters.sqlite.jobs import SqliteJobs, release_leases
from tasktide.adapters.sqlite.letters import SqliteLetters
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.adapters.sqlite.notifications import SqliteNotifications
from tasktide.adapters.sqlite.replies import SqliteReplies
from tasktide.adapters.sqlite.tasks import SqliteTasks
from tasktide.adapters.sqlite.users import SqlitePreferences, SqliteSessions, SqliteUsers
from tasktide.adapters.system import lock, secret
from tasktide.adapters.system.clock import SystemClock
from tasktide.adapters.system.threads import DaemonThreads
from tasktide.domain import events
from tasktide.ports.cache import Cache
from tasktide.ports.clock import Clock
from tasktide.ports.evidence import Evidence
from tasktide.ports.ids import Ids
from tasktide.ports.jobs import Jobs
from tasktide.ports.letters import Letters
from tasktide.ports.limits import Limits
from tasktide.ports.log import Log
from tasktide.ports.mail import Mailer
from tasktide.ports.metrics import Metrics
from tasktide.ports.notifications import NotificationStore
from tasktide.ports.push import Message, Push
from tasktide.ports.replies import Replies
from tasktide.ports.tasks import TaskStore
from tasktide.ports.threads import Threads
from tasktide.ports.tokens import Passwords, Tokens
from tasktide.ports.users import PreferenceStore, SessionStore, UserStore
from tasktide.settings import Settings

DATABASE_FILE = "tasktide.db"
# What is accepted and not yet stored; see decision 13.
SUBMISSIONS_FILE = "submissions.db"


class CannotStart(Exception):
    """The data cannot be served as things are; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """An implementation of every port, and how to ask its engine whether it is there."""

    clock: Clock
    tasks: TaskStore
    users: UserStore
    sessions: SessionStore
    preferences: PreferenceStore
    notifications: NotificationStore
    log: Log
    letters: Letters
    jobs: Jobs
    replies: Replies
    ids: Ids
    cache: Cache
    limits: Limits
    push: Push
    mail: Mailer
    tokens: Tokens
    passwords: Passwords
    metrics: Metrics
    threads: Threads
    stopping: str  # the push channel on which this process hears that it is about to stop
    pings: dict[str, Callable[[], Awaitable[None]]]

    async def announce_stop(self) -> None:
        """Tell this process's live streams and long polls that it is about to stop."""
        await self.push.publish([Message(self.stopping, b"")])


@contextlib.asynccontextmanager
async def open_ports(settings: Settings, *, server: bool = True) -> AsyncIterator[Ports]:
    """The embedded engines on the data folder, closed in reverse at the end.

    A server holds the folder for itself; a command line tool (`server=False`) works beside it.
    CannotStart when the folder is in use, cannot be written, or was written by a newer version.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = settings.data_dir
        with _or_cannot_start(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if server:
                stack.enter_context(lock.hold(folder))
            _migrate(folder)
            key = settings.jwt_secret or secret.keep(folder)
            base = Database(folder / DATABASE_FILE)
            stack.push_async_callback(base.close)
            submissions = Database(folder / SUBMISSIONS_FILE)
            stack.push_async_callback(submissions.close)
        clock = SystemClock()
        log = SqliteLog(base, clock, submissions)
        passwords = Argon2Passwords()
        stack.callback(passwords.close)
        if server:
            await release_leases(base, clock)
        yield Ports(
            clock=clock,
            tasks=SqliteTasks(base, log, clock),
            users=SqliteUsers(base),
            sessions=SqliteSessions(base),
            preferences=SqlitePreferences(base),
            notifications=SqliteNotifications(base),
            log=log,
            letters=SqliteLetters(base, log),
            jobs=SqliteJobs(base, clock),
            replies=SqliteReplies(base, clock),
            ids=SqliteIds(base) if server else SqliteIds(base, block=1),
            cache=MemoryCache(clock),
            limits=MemoryLimits(clock),
            push=MemoryPush(),
            mail=ConsoleMailer(),
            tokens=JwtTokens(key, clock),
            passwords=passwords,
            metrics=PrometheusMetrics(),
            threads=DaemonThreads(settings.worker_threads),
            stopping=f"process:{secrets.token_hex(8)}",
            pings={"sqlite": log.ping},
        )


def engine_version() -> tuple[int, int, int]:
    """The version of SQLite that this Python brings."""
    return database.VERSION


def has_data(settings: Settings) -> bool:
    """Whether the data folder holds anything."""
    return (settings.data_dir / DATABASE_FILE).is_file()


def is_served(settings: Settings) -> bool:
    """Whether a server holds the data folder at this moment."""
    return settings.data_dir.is_dir() and lock.is_held(settings.data_dir)


@contextlib.contextmanager
def open_evidence(settings: Settings) -> Iterator[Evidence]:
    """What the data folder holds, for reading alone; CannotStart when there is nothing to read."""
    folder = settings.data_dir
    if not has_data(settings):
        raise CannotStart(f"There is no data in {folder}: set TASKTIDE_DATA_DIR to the folder of a server.")
    if not (folder / SUBMISSIONS_FILE).is_file():
        _check_submissions(folder)
        raise CannotStart(f"The data in {folder} was written by an earlier version: run `tasktide migrate` first.")
    with _or_cannot_start(folder), evidence.evidence(folder / DATABASE_FILE, folder / SUBMISSIONS_FILE) as found:
        yield found


def migrate_data(settings: Settings) -> list[int]:
    """Bring the data folder's schema up to date; the numbers of the migrations applied. CannotStart says why not."""
    with _or_cannot_start(settings.data_dir):
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _migrate(settings.data_dir)


def _migrate(folder: Path) -> list[int]:
    main = str(folder / DATABASE_FILE)
    with contextlib.closing(database.connect(main)) as connection:
        applied = migrate.migrate(connection)
    if not (folder / SUBMISSIONS_FILE).exists():
        _check_submissions(folder)
    with contextlib.closing(database.connect(str(folder / SUBMISSIONS_FILE))) as connection:
        migrate.migrate(connection, migrate.SUBMISSIONS)
        migrate.adopt(connection, main, events.TASK_INGESTED)
    return applied


def _check_submissions(folder: Path) -> None:
    """CannotStart when submissions were kept in a file of their own, and it is gone."""
    with contextlib.closing(database.connect(str(folder / DATABASE_FILE))) as connection:
        if migrate.has_parted(connection, events.TASK_INGESTED):
            raise CannotStart(
                f"{folder / SUBMISSIONS_FILE} is missing, and with it what was accepted and not yet stored: "
                "put it back. If it is gone for good, make an empty file of that name to go on without."
            )


@contextlib.contextmanager
def _or_cannot_start(folder: Path) -> Iterator[None]:
    try:
        yield
    except lock.DirectoryInUse as busy:
        raise CannotStart(f"{busy}: stop it, or set TASKTIDE_DATA_DIR to another folder.") from None
    except migrate.SchemaTooNew as newer:
        raise CannotStart(f"{newer}: install that version.") from None
    except (OSError, database.Failure) as error:
        raise CannotStart(f"The data folder {folder} cannot be used: {error}.") from None

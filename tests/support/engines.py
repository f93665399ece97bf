"""The engines under contract: each opens all stores on fresh data."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from support.clock import FakeClock
from tasktide.adapters.memory.cache import MemoryCache
from tasktide.adapters.memory.push import MemoryPush
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

ENGINES = ("sqlite-memory", "sqlite-file")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine's stores, and its clock."""

    clock: FakeClock
    base: Database
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
    push: Push


@contextlib.asynccontextmanager
async def open_engine(name: str, folder: Path, clock: FakeClock | None = None) -> AsyncIterator[Engine]:
    """An engine on a folder; opened twice on the same folder, a file engine finds its data again."""
    clock = clock or FakeClock()
    base = _open(name, folder)
    # As in production, submissions have a file of their own; in memory there is one for all.
    submissions = None if name == "sqlite-memory" else _open_file(folder / "submissions.db", migrate.SUBMISSIONS)
    if name == "sqlite-memory":
        await base.run(lambda tx: _script(tx.connection))
    log = SqliteLog(base, clock, submissions)
    try:
        yield Engine(
            clock=clock,
            base=base,
            tasks=SqliteTasks(base, log, clock),
            users=SqliteUsers(base),
            sessions=SqliteSessions(base),
            preferences=SqlitePreferences(base),
            notifications=SqliteNotifications(base),
            log=log,
            letters=SqliteLetters(base, log),
            jobs=SqliteJobs(base, clock),
            replies=SqliteReplies(base, clock),
            ids=SqliteIds(base, block=10),
            cache=MemoryCache(clock),
            push=MemoryPush(),
        )
    finally:
        if submissions is not None:
            await submissions.close()
        await base.close()


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

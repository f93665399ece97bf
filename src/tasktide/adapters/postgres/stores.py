"""All stores on PostgreSQL together: the database for users, and the shards."""

import contextlib
from collections.abc import Sequence

from tasktide.adapters.postgres import migrate
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.ids import PostgresIds
from tasktide.adapters.postgres.jobs import PostgresJobs
from tasktide.adapters.postgres.letters import PostgresLetters
from tasktide.adapters.postgres.migrate import SchemaTooNew
from tasktide.adapters.postgres.moves import Moves
from tasktide.adapters.postgres.notifications import PostgresNotifications
from tasktide.adapters.postgres.outbox import PostgresOutbox
from tasktide.adapters.postgres.presence import Presence
from tasktide.adapters.postgres.replies import PostgresReplies
from tasktide.adapters.postgres.shards import ShardMissing, Shards, open_shards
from tasktide.adapters.postgres.tasks import PostgresTasks
from tasktide.adapters.postgres.users import PostgresPreferences, PostgresSessions, PostgresUsers
from tasktide.adapters.postgres.webhooks import PostgresWebhooks
from tasktide.ports.clock import Clock
from tasktide.ports.log import Log

__all__ = ["Presence", "SchemaTooNew", "ShardMissing", "Stores", "migrate_urls"]


class Stores:
    """Made at once, usable after `open`, which may be tried again while a server is away."""

    shards: Shards
    moves: Moves
    tasks: PostgresTasks
    notifications: PostgresNotifications

    def __init__(
        self,
        url: str,
        shard_urls: Sequence[str],
        clock: Clock,
        log: Log,
        *,
        connections: int,
        replica_urls: Sequence[str] = (),
    ) -> None:
        self.base = Database(url, connections)
        self._replicas = [Database(one, connections) for one in replica_urls]
        # Without addresses of their own, tasks and inboxes are where the users are.
        self.databases = [Database(one, connections) for one in shard_urls] or [self.base]
        self._clock = clock
        self.users = PostgresUsers(self.base)
        self.sessions = PostgresSessions(self.base)
        self.preferences = PostgresPreferences(self.base)
        self.webhooks = PostgresWebhooks(self.base)
        self.letters = PostgresLetters(self.base, log)
        self.jobs = PostgresJobs(self.base, clock)
        self.replies = PostgresReplies(self.base, clock)
        self.ids = PostgresIds(self.base)
        self.outboxes = [PostgresOutbox(database, f"shard-{n}") for n, database in enumerate(self.databases)]
        names = ["postgres", *(f"shard-{n}" for n in range(len(self.databases)))]
        self.pings = {name: one.ping for name, one in zip(names, (self.base, *self.databases), strict=True)}

    async def open(self) -> None:
        """Bring the schemas up to date and read the slot map. SchemaTooNew or ShardMissing when that cannot be."""
        await migrate_all(self.base, self.databases)
        self.shards = await open_shards(self.base, self.databases, self._replicas)
        self.moves = Moves(self.shards, self._clock)
        self.tasks = PostgresTasks(self.shards, self._clock, self.moves)
        self.notifications = PostgresNotifications(self.shards, lambda count: self.ids.next("notifications", count))

    async def close(self) -> None:
        """Close all connections; twice is fine."""
        with contextlib.suppress(AttributeError):  # it was never opened
            await self.moves.close()
        for outbox in self.outboxes:
            await outbox.release()
        for database in (self.base, *self.databases, *self._replicas):
            await database.close()


async def migrate_all(base: Database, databases: Sequence[Database]) -> list[int]:
    """Bring the schemas up to date; the numbers applied, each once."""
    applied = set(await migrate.migrate(base, migrate.USERS))
    for database in databases:
        applied.update(await migrate.migrate(database, migrate.SHARD))
    return sorted(applied)


async def migrate_urls(url: str, shard_urls: Sequence[str]) -> list[int]:
    """As `migrate_all`, over connections of its own."""
    base = Database(url, 1)
    databases = [Database(one, 1) for one in shard_urls]
    try:
        return await migrate_all(base, databases or [base])
    finally:
        for database in (base, *databases):
            await database.close()

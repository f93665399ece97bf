"""Inboxes on PostgreSQL, each on the shard of its user."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.shards import Shards
from tasktide.domain import events
from tasktide.domain.events import NotificationPlanned
from tasktide.domain.ids import MAX_ID, NotificationId, TaskId, UserId
from tasktide.domain.notifications import Kind, Notification
from tasktide.domain.times import Timestamp
from tasktide.ports.notifications import row

SQL = resources.statements(__package__, "notifications")

# Numbers that a shard leases at once.
BLOCK = 10_000

_KINDS = {str(kind): kind for kind in Kind}


class PostgresNotifications:
    """`ports.notifications.NotificationStore` on the tables `notifications`.

    Ids grow in the order of commits, even when two processes believe that an inbox is theirs: a shard gives numbers
    to one inserter at a time, from blocks that `lease` takes for it. Blocks grow over all shards and processes.
    """

    def __init__(self, shards: Shards, lease: Callable[[int], Awaitable[range]]) -> None:
        self._shards = shards
        self._lease = lease
        # Here one waits for the other without a connection, of which there may be few.
        self._turns: defaultdict[Database, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def insert(self, plans: Sequence[NotificationPlanned]) -> Sequence[Notification]:
        """See the port."""
        groups = self._shards.grouped(plans, lambda plan: plan.data.user_id)
        databases = self._shards.databases
        parts = await asyncio.gather(*(self._insert(databases[shard], some) for shard, some in groups.items()))
        stored = {key: one for part in parts for key, one in part.items()}
        return [stored[_key(plan)] for plan in plans]

    async def get(self, user_id: UserId, notification_id: NotificationId) -> Notification | None:
        """See the port."""
        found = await self._of(user_id).fetch(SQL["get"], notification_id, user_id)
        return _notification(found[0]) if found else None

    async def newest(
        self, user_id: UserId, before: NotificationId | None, limit: int, *, unread: bool
    ) -> Sequence[Notification]:
        """See the port."""
        statement = SQL["newest_unread" if unread else "newest"]
        last = MAX_ID + 1 if before is None else before
        return [_notification(row) for row in await self._of(user_id).fetch(statement, user_id, last, limit)]

    async def after(
        self, user_id: UserId, after: NotificationId, limit: int, *, unread: bool = False
    ) -> Sequence[Notification]:
        """See the port."""
        statement = SQL["after_unread" if unread else "after"]
        return [_notification(row) for row in await self._of(user_id).fetch(statement, user_id, after, limit)]

    async def last_id(self, user_id: UserId) -> NotificationId:
        """See the port."""
        return NotificationId(await self._of(user_id).value(SQL["last"], user_id))

    async def unread(self, user_id: UserId) -> int:
        """See the port."""
        return int(await self._of(user_id).value(SQL["unread"], user_id))

    async def read(self, user_id: UserId, up_to: NotificationId, now: Timestamp, *, only: bool) -> int:
        """See the port."""
        statement = SQL["read_one" if only else "read_up_to"]
        return await self._of(user_id).execute(statement, user_id, up_to, now)

    def _of(self, user_id: UserId) -> Database:
        return self._shards.databases[self._shards.holding(user_id)]

    async def _insert(
        self, database: Database, plans: Sequence[NotificationPlanned]
    ) -> dict[tuple[UserId, str], Notification]:
        unique: dict[tuple[UserId, str], NotificationPlanned] = {}
        for plan in plans:
            unique.setdefault(_key(plan), plan)  # one that is told twice counts where it came first
        stored: dict[tuple[UserId, str], Notification] = {}
        async with self._turns[database]:
            while missing := unique.keys() - stored.keys():
                wanted = [plan for key, plan in unique.items() if key in missing]
                inserted = await database.write(SQL["insert"], *zip(*map(row, wanted), strict=True), len(wanted))
                for number, user_id, event_id in inserted:
                    key = UserId(user_id), event_id
                    stored[key] = events.notification(unique[key], NotificationId(number))
                known = [key for key in missing if key not in stored]
                if not known:
                    break
                rows = await database.fetch(SQL["known"], *zip(*known, strict=True))
                stored |= {(UserId(row[1]), row[2]): _notification(row) for row in rows}
                if len(rows) < len(known):
                    block = await self._lease(max(BLOCK, len(wanted)))
                    await database.execute(SQL["lease"], block.start, block.stop - 1)
        return stored


def _key(planned: NotificationPlanned) -> tuple[UserId, str]:
    return planned.data.user_id, planned.data.event_id


def _notification(row: Any) -> Notification:
    number, user_id, _event_id, kind, task_id, message, created_at, read_at = row
    return Notification(
        id=NotificationId(number),
        user_id=UserId(user_id),
        kind=_KINDS[kind],
        task_id=None if task_id is None else TaskId(task_id),
        message=message,
        created_at=created_at,
        read_at=read_at,
    )

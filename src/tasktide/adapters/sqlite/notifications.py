"""Inboxes on SQLite."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain import events
from tasktide.domain.events import NotificationPlanned
from tasktide.domain.ids import MAX_ID, NotificationId, UserId
from tasktide.domain.notifications import Notification
from tasktide.domain.times import Timestamp
from tasktide.ports.notifications import row

SQL = resources.statements(__package__, "notifications")

_decode = msgspec.json.Decoder(Notification).decode
_decode_all = msgspec.json.Decoder(list[Notification]).decode
_json = msgspec.json.Encoder().encode


class SqliteNotifications:
    """`ports.notifications.NotificationStore` on the table `notifications`; `number` hands out growing ids.

    One process alone inserts, and gives the writer each batch in the moment when it has its ids: those of one user, of
    whom one lane alone is in charge, grow in the order of commits.
    """

    def __init__(self, database: Database, number: Callable[[int], Awaitable[range]]) -> None:
        self._database = database
        self._number = number

    async def insert(self, plans: Sequence[NotificationPlanned]) -> Sequence[Notification]:
        """See the port."""
        numbers = await self._number(len(plans))
        rows = [(number, *row(plan)) for number, plan in zip(numbers, plans, strict=True)]

        def work(transaction: Transaction) -> str | None:
            inserted = sum(cursor.rowcount for cursor in transaction.rows(SQL["insert"], rows))
            if inserted == len(plans):
                return None
            keys = _json([(plan.data.user_id, plan.data.event_id) for plan in plans]).decode()
            return str(transaction.value(SQL["stored"], (keys,)))

        stored = await self._database.run(work, is_whole=True)
        if stored is not None:
            return _decode_all(stored)
        return [events.notification(plan, NotificationId(number)) for number, plan in zip(numbers, plans, strict=True)]

    async def get(self, user_id: UserId, notification_id: NotificationId) -> Notification | None:
        """See the port."""
        found = await self._database.read(lambda tx: tx.value(SQL["get"], (notification_id, user_id)))
        return None if found is None else _decode(found)

    async def newest(
        self, user_id: UserId, before: NotificationId | None, limit: int, *, unread: bool
    ) -> Sequence[Notification]:
        """See the port."""
        statement = SQL["newest_unread" if unread else "newest"]
        parameters = (user_id, MAX_ID + 1 if before is None else before, limit)
        return _decode_all(await self._database.read(lambda tx: tx.value(statement, parameters)))

    async def after(
        self, user_id: UserId, after: NotificationId, limit: int, *, unread: bool = False
    ) -> Sequence[Notification]:
        """See the port."""
        statement = SQL["after_unread" if unread else "after"]
        return _decode_all(await self._database.read(lambda tx: tx.value(statement, (user_id, after, limit))))

    async def last_id(self, user_id: UserId) -> NotificationId:
        """See the port."""
        return NotificationId(await self._database.read(lambda tx: tx.value(SQL["last"], (user_id,))))

    async def unread(self, user_id: UserId) -> int:
        """See the port."""
        return int(await self._database.read(lambda tx: tx.value(SQL["unread"], (user_id,))))

    async def read(self, user_id: UserId, up_to: NotificationId, now: Timestamp, *, only: bool) -> int:
        """See the port."""
        statement = SQL["read_one" if only else "read_up_to"]
        return await self._database.run(lambda tx: tx.execute(statement, (user_id, up_to, now)).rowcount)

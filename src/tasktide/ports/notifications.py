"""The notification store: inboxes."""

from collections.abc import Sequence
from typing import Protocol

from tasktide.domain.events import NOTIFICATION_EVENTS, NotificationPlanned
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.notifications import Notification
from tasktide.domain.times import Timestamp
from tasktide.ports.log import Record


def row(planned: NotificationPlanned) -> tuple[UserId, str, str, TaskId | None, str, Timestamp]:
    """What both databases store beside its number: user, event, kind, task, message, time."""
    plan = planned.data
    return plan.user_id, plan.event_id, str(plan.kind), plan.task_id, plan.message, planned.time


def record(planned: NotificationPlanned) -> Record:
    """A planned notification as the log has it: in line with all others of its user."""
    return Record.of(NOTIFICATION_EVENTS, str(planned.data.user_id), planned)


class NotificationStore(Protocol):
    """Inboxes. Ids increase per user in the order of insertion, so an id is a cursor that misses nothing.

    Durable when a method returns; Unavailable when the engine is away.
    """

    async def insert(self, plans: Sequence[NotificationPlanned]) -> Sequence[Notification]:
        """Number and store what was planned; a notification whose (user, event) is known keeps its first id.

        Returns all of them as stored, in the order given, so that a repeated batch announces the same ids.
        """
        ...

    async def get(self, user_id: UserId, notification_id: NotificationId) -> Notification | None:
        """One notification of a user's own."""
        ...

    async def newest(
        self, user_id: UserId, before: NotificationId | None, limit: int, *, unread: bool
    ) -> Sequence[Notification]:
        """The inbox, newest first; those before an id; only the unread ones when asked."""
        ...

    async def after(
        self, user_id: UserId, after: NotificationId, limit: int, *, unread: bool = False
    ) -> Sequence[Notification]:
        """What came after an id, oldest first; only the unread ones when asked."""
        ...

    async def last_id(self, user_id: UserId) -> NotificationId:
        """The id of the newest notification; 0 when there is none."""
        ...

    async def unread(self, user_id: UserId) -> int:
        """How many are unread."""
        ...

    async def read(self, user_id: UserId, up_to: NotificationId, now: Timestamp, *, only: bool) -> int:
        """Mark one (`only`) or all up to an id as read; how many changed. Read ones keep their time."""
        ...

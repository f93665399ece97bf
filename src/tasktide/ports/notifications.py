"""The notification store: inboxes."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.notifications import Kind, Notification
from tasktide.domain.times import Timestamp


class NewNotification(Struct, frozen=True, gc=False):
    """A notification that has no number yet; (user, event) is its natural key."""

    user_id: UserId
    event_id: str
    kind: Kind
    task_id: TaskId | None
    message: str
    created_at: Timestamp

    def numbered(self, number: NotificationId) -> Notification:
        """The notification as it is stored."""
        return Notification(
            id=number,
            user_id=self.user_id,
            kind=self.kind,
            task_id=self.task_id,
            message=self.message,
            created_at=self.created_at,
        )


class NotificationStore(Protocol):
    """Inboxes. Ids increase per user in the order of insertion, so an id is a cursor that misses nothing.

    Durable when a method returns; Unavailable when the engine is away.
    """

    async def insert(self, new: Sequence[NewNotification]) -> Sequence[Notification]:
        """Number and store notifications; one whose (user, event) is known keeps its first id.

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

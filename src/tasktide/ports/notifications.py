"""The notification store: inboxes."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tasktide.domain.ids import NotificationId, UserId
from tasktide.domain.notifications import Notification
from tasktide.domain.times import Timestamp


class NewNotification(NamedTuple):
    """A notification with the event that caused it; (user, event) is its natural key."""

    notification: Notification
    event_id: str


class NotificationStore(Protocol):
    """Inboxes. Ids increase per user in the order of insertion, so an id is a cursor that misses nothing.

    Durable when a method returns; Unavailable when the engine is away.
    """

    async def insert(self, new: Sequence[NewNotification]) -> Sequence[Notification]:
        """Store notifications; one whose (user, event) is known keeps its first id.

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

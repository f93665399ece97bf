"""Deliveries: bringing one notification out of the house over one channel."""

from msgspec import Struct

from tasktide.domain.ids import NotificationId, UserId
from tasktide.domain.notifications import Channel, Notification


class Delivery(Struct, frozen=True, kw_only=True):
    """One notification on its way over one channel; (notification, channel) is its natural key."""

    channel: Channel
    notification: Notification
    attempts: int = 0

    @property
    def key(self) -> tuple[NotificationId, Channel]:
        """What makes two deliveries the same one."""
        return self.notification.id, self.channel

    @property
    def user_id(self) -> UserId:
        """For whom it is."""
        return self.notification.user_id


class Mail(Struct, frozen=True, kw_only=True):
    """A message ready to send. `message_id` is stable over retries, so that a receiver can drop a second copy."""

    to: str
    subject: str
    text: str
    message_id: str


def compose(delivery: Delivery, address: str) -> Mail:
    """The mail that tells a user of a notification."""
    told = delivery.notification
    subject = next((line for line in told.message.splitlines() if line.strip()), told.kind.value)
    return Mail(
        to=address,
        subject=subject[:150],
        text=f"{told.message}\n\n-- \n{told.kind}\n",
        message_id=f"<notification-{told.id}@tasktide>",
    )

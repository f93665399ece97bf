"""Deliveries: bringing one notification out of the house over one channel."""

from html import escape

from msgspec import Struct

from tasktide.domain.ids import NotificationId, UserId
from tasktide.domain.notifications import Channel, Notification


class Refused(Exception):
    """What is to be delivered will not be taken, however often it is tried."""


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
    html: str
    message_id: str


def compose(delivery: Delivery, address: str, public_url: str = "") -> Mail:
    """The mail that tells a user of a notification, with a link to its task where it is known where people go."""
    told = delivery.notification
    link = f"{public_url}/app/tasks/{told.task_id}" if public_url and told.task_id is not None else ""
    subject = next((line for line in told.message.splitlines() if line.strip()), told.kind.value)
    return Mail(
        to=address,
        subject=subject[:150],
        text=f"{told.message}\n\n{link and link + chr(10) * 2}-- \n{told.kind}\n",
        html=_html(told.message, told.kind, link),
        message_id=f"<notification-{told.id}@tasktide>",
    )


def _html(message: str, kind: str, link: str) -> str:
    """The same for those who read mail with a browser's eyes: no images, no styles from elsewhere."""
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in message.splitlines() if line.strip())
    way = f'<p><a href="{escape(link)}">Open the task</a></p>' if link else ""
    return (
        '<!doctype html><html><body style="font-family: system-ui, sans-serif; max-width: 40em">'
        f'{paragraphs}{way}<p style="color: #666">{escape(kind)}</p></body></html>'
    )

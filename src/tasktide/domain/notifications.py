"""Notifications: the value, the kinds, and who chose to hear what over which channel."""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from tasktide.domain.errors import FieldError, Invalid
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.times import Timestamp

MESSAGE_LENGTH = 2_000


class Kind(StrEnum):
    """Why somebody is told."""

    ASSIGNED = "task.assigned"
    CREATED = "task.created"
    UPDATED = "task.updated"
    COMPLETED = "task.completed"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"
    DELETED = "task.deleted"
    DUE = "task.due"
    MESSAGE = "message"

    __hash__ = str.__hash__  # in C, where Enum's is a Python function called for every look into a dictionary


class Channel(StrEnum):
    """How somebody is told."""

    INBOX = "inbox"
    EMAIL = "email"
    WEBHOOK = "webhook"

    __hash__ = str.__hash__


class Notification(Struct, frozen=True, kw_only=True, gc=False):
    """One message in one inbox. `id` increases per user: it is the cursor from which a stream resumes."""

    id: NotificationId
    user_id: UserId
    kind: Kind
    task_id: TaskId | None = None
    message: str
    created_at: Timestamp
    read_at: Timestamp | None = None


Preferences = dict[Channel, dict[Kind, bool]]


def default_preferences() -> Preferences:
    """Everything goes to the inbox; what leaves the house is for those who ask for it."""
    return {channel: dict.fromkeys(Kind, channel is Channel.INBOX) for channel in Channel}


def merged_preferences(sent: dict[str, Any]) -> Preferences:
    """The matrix that was sent, with defaults where it is silent; Invalid names all that is no part of one."""
    whole = default_preferences()
    errors = []
    for channel, row in sent.items():
        if channel not in set(Channel):
            errors.append(FieldError(channel, f"unknown channel; there are {', '.join(Channel)}"))
        elif not isinstance(row, dict):
            errors.append(FieldError(channel, "must be an object of kinds"))
        else:
            errors += _row_errors(channel, row)
            whole[Channel(channel)] |= {Kind(kind): wanted for kind, wanted in row.items() if kind in set(Kind)}
    errors += [
        FieldError(f"{channel}.{kind}", "needs the inbox to be on for this kind")
        for channel in Channel
        for kind in Kind
        if whole[channel][kind] and not whole[Channel.INBOX][kind]
    ]
    if errors:
        raise Invalid(errors)
    return whole


def _row_errors(channel: str, row: dict[str, Any]) -> list[FieldError]:
    unknown = f"unknown kind; there are {', '.join(Kind)}"
    return [
        FieldError(f"{channel}.{kind}", "must be true or false" if kind in set(Kind) else unknown)
        for kind, wanted in row.items()
        if kind not in set(Kind) or not isinstance(wanted, bool)
    ]

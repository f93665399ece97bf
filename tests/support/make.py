"""Things to test with."""

import msgspec

from tasktide.domain import events, fields
from tasktide.domain.events import NotificationPlanned, Planned, TaskEvent, TaskIngested
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.notifications import Kind, Notification
from tasktide.domain.tasks import Task
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Account, Actor, Role, User
from tasktide.ports.tasks import Entry

NOW = Timestamp("2026-11-20T12:00:00.000Z")
FAR = Timestamp("2099-01-01T00:00:00.000Z")
ADMIN = Actor(UserId(1), Role.ADMIN, "session-1", FAR)
BOB = Actor(UserId(2), Role.MEMBER, "session-2", FAR)


def task(number: int, **values: object) -> Task:
    plain: dict[str, object] = {
        "id": TaskId(number), "title": f"Task {number}", "creator_id": UserId(1), "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return Task(**(plain | values))  # type: ignore[arg-type]


def submission(made: Task, actor: str = "user:1") -> TaskIngested:
    return events.ingested(made, actor, None)


def created(made: Task) -> TaskEvent:
    return events.created(made, "user:1", None)


def entry(made: Task) -> Entry:
    return Entry(made, created(made))


def drafts(*bodies: str) -> list[fields.NewTask]:
    return [msgspec.json.decode(body, type=fields.NewTask) for body in bodies]


def account(number: int, **values: object) -> Account:
    user = User(
        id=UserId(number), email=f"user{number}@example.org", name=f"User {number}", role=Role.MEMBER, created_at=NOW
    )
    return Account(user=msgspec.structs.replace(user, **values), password_hash="hash")


def notification(number: int, user_id: int = 1) -> Notification:
    return events.notification(told(number, user_id), NotificationId(number))


def told(number: int, user_id: int = 1, event_id: str | None = None) -> NotificationPlanned:
    """A notification that the store has yet to number."""
    plan = Planned(
        user_id=UserId(user_id),
        kind=Kind.MESSAGE,
        task_id=None,
        message=f"Message {number}",
        event_id=event_id or f"event-{number}",
    )
    return events.planned(plan, "user:1", NOW)

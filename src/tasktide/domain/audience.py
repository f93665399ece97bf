"""Who is told of an event about a task, and in which words."""

from tasktide.domain import events
from tasktide.domain.events import Planned, TaskEvent
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import MESSAGE_LENGTH, Kind
from tasktide.domain.tasks import Task
from tasktide.domain.text import shorten

_KINDS: dict[str, Kind] = {
    "task.created": Kind.CREATED,
    "task.updated": Kind.UPDATED,
    "task.started": Kind.UPDATED,
    "task.completed": Kind.COMPLETED,
    "task.failed": Kind.FAILED,
    "task.cancelled": Kind.CANCELLED,
    "task.deleted": Kind.DELETED,
}
_WORDS: dict[Kind, str] = {
    Kind.ASSIGNED: "“{}” is yours to do",
    Kind.CREATED: "“{}” was created",
    Kind.UPDATED: "“{}” was updated",
    Kind.COMPLETED: "“{}” is done",
    Kind.FAILED: "“{}” failed",
    Kind.CANCELLED: "“{}” was cancelled",
    Kind.DELETED: "“{}” was deleted",
    Kind.DUE: "“{}” is due",
}
_OVER = "“{}” is yours, and over already"


def plan(event: TaskEvent) -> list[Planned]:
    """Performer, creator and observers, each once, without the one who acted.

    A worker's starts and waits between two attempts are progress that nobody needs to be called for.
    """
    kind = _KINDS.get(event.type)
    if kind is None or (kind is Kind.UPDATED and event.actor == events.WORKER):
        return []
    task = event.data.task
    assigned = kind is Kind.CREATED or (kind is not Kind.DELETED and "performer_id" in event.data.changes)
    told: dict[UserId, Kind] = {}
    if task.performer_id is not None:
        told[task.performer_id] = Kind.ASSIGNED if assigned else kind
    for user_id in (task.creator_id, *task.observer_ids):
        told.setdefault(user_id, kind)
    return [
        _planned(task, user_id, why, event.id) for user_id, why in told.items() if events.user(user_id) != event.actor
    ]


def plan_due(task: Task) -> list[Planned]:
    """Everyone concerned is reminded once for each due date."""
    told = dict.fromkeys((task.performer_id, task.creator_id, *task.observer_ids))
    event_id = f"{task.id}.due.{task.due_at}"
    return [_planned(task, user_id, Kind.DUE, event_id) for user_id in told if user_id is not None]


def _planned(task: Task, user_id: UserId, kind: Kind, event_id: str) -> Planned:
    # What is over is nobody's to do.
    words = _OVER if kind is Kind.ASSIGNED and not task.status.is_open else _WORDS[kind]
    message = shorten(words.format(task.title), MESSAGE_LENGTH)
    return Planned(user_id=user_id, kind=kind, task_id=task.id, message=message, event_id=event_id)

"""Who may do what: the one table of authorisation."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from tasktide.domain.errors import Forbidden
from tasktide.domain.tasks import Task
from tasktide.domain.users import Actor


class Action(StrEnum):
    """Everything that a rule exists for. Reading tasks and users needs a sign-in and nothing more."""

    TASK_CHANGE = "change this task"
    TASK_DELETE = "delete this task"
    TASK_CREATE_FOR = "create tasks in another's name"
    USER_ROLE = "change roles"
    NOTIFY = "send notifications"
    LETTERS = "see dead letters"
    SYSTEM = "see how the system is"


def _admin(actor: Actor, _task: Task | None) -> bool:
    return actor.is_admin


def _creator(actor: Actor, task: Task | None) -> bool:
    return actor.is_admin or (task is not None and task.creator_id == actor.user_id)


def _creator_or_performer(actor: Actor, task: Task | None) -> bool:
    return _creator(actor, task) or (task is not None and task.performer_id == actor.user_id)


RULES: Mapping[Action, Callable[[Actor, Task | None], bool]] = {
    Action.TASK_CHANGE: _creator_or_performer,
    Action.TASK_DELETE: _creator,
    Action.TASK_CREATE_FOR: _admin,
    Action.USER_ROLE: _admin,
    Action.NOTIFY: _admin,
    Action.LETTERS: _admin,
    Action.SYSTEM: _admin,
}


def check(actor: Actor, action: Action, task: Task | None = None) -> None:
    """Forbidden unless the rule of the action lets this actor do it (to this task)."""
    if not RULES[action](actor, task):
        raise Forbidden(f"You may not {action}.")

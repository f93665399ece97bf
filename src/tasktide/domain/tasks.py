"""Tasks: the value, and every decision about it. A decision returns the task after; the caller stores it."""

from enum import StrEnum
from operator import attrgetter

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tasktide.domain.errors import Conflict
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.times import EPOCH, NEVER, Timestamp, later

DEFAULT_HANDLER = "reverse"
DEFAULT_MAX_ATTEMPTS = 3
NULL = Raw(b"null")
WORKER_DIED = "The worker died while running it."


class Status(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    __hash__ = str.__hash__  # in C, where Enum's is a Python function called for every look into a dictionary

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do."""
        return self is Status.PENDING or self is Status.IN_PROGRESS


# What people may do by hand. Finished tasks may be reopened, not turned into another kind of finished.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.IN_PROGRESS, Status.DONE, Status.FAILED, Status.CANCELLED}),
    Status.IN_PROGRESS: frozenset({Status.PENDING, Status.DONE, Status.FAILED, Status.CANCELLED}),
    Status.DONE: frozenset({Status.PENDING, Status.IN_PROGRESS}),
    Status.FAILED: frozenset({Status.PENDING, Status.IN_PROGRESS}),
    Status.CANCELLED: frozenset({Status.PENDING}),
}


class Task(Struct, frozen=True, kw_only=True, gc=False):
    """One unit of work. `payload` and `result` are JSON as it was given; a task with a handler is a job."""

    id: TaskId
    title: str
    description: str = ""
    status: Status = Status.PENDING
    priority: int = 0
    labels: tuple[str, ...] = ()
    creator_id: UserId
    performer_id: UserId | None = None
    observer_ids: tuple[UserId, ...] = ()
    due_at: Timestamp | None = None
    handler: str | None = None
    payload: Raw = msgspec.field(default_factory=lambda: NULL)
    run_at: Timestamp | None = None
    result: Raw = msgspec.field(default_factory=lambda: NULL)
    error: str | None = None
    attempts: int = 0
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    version: int = 1
    created_at: Timestamp
    updated_at: Timestamp
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None

    @property
    def is_job(self) -> bool:
        """Whether workers, not people, move this task."""
        return self.handler is not None


def edit(task: Task, values: dict[str, object], now: Timestamp) -> Task:
    """The task with checked field values put in; Conflict when its status does not allow that."""
    wanted = values.get("status", task.status)
    if task.is_job:
        _check_job_edit(task, values)
    elif values.get("handler") is not None and (task.status, wanted) != (Status.PENDING, Status.PENDING):
        raise Conflict("Only a pending task can be made a job.", code="bad_transition")
    if wanted is task.status:
        return _next(task, now, values)
    if wanted not in TRANSITIONS[task.status]:
        raise Conflict(f"A {task.status} task cannot become {wanted}.", code="bad_transition")
    return _next(task, now, values | _times_of(Status(str(wanted)), task, now))


def cancel(task: Task, now: Timestamp) -> Task:
    """The task given up; Conflict when it has finished."""
    if not task.status.is_open:
        raise Conflict(f"A {task.status} task cannot be cancelled.", code="bad_transition")
    return _next(task, now, {"status": Status.CANCELLED, "finished_at": now})


def retry(task: Task, now: Timestamp) -> Task:
    """The task made pending again with its attempts unspent; Conflict unless it failed or was cancelled."""
    if task.status not in {Status.FAILED, Status.CANCELLED}:
        raise Conflict(f"A {task.status} task cannot be retried.", code="bad_transition")
    fresh = {"status": Status.PENDING, "attempts": 0, "error": None, "run_at": None}
    return _next(task, now, fresh | {"started_at": None, "finished_at": None})


def start(task: Task, now: Timestamp) -> Task:
    """The job with its next attempt begun."""
    begun = {
        "status": Status.IN_PROGRESS,
        "attempts": task.attempts + 1,
        "started_at": now,
        "finished_at": None,
    }
    return _next(task, now, begun)


def complete(task: Task, result: Raw, now: Timestamp) -> Task:
    """The job done, with what its handler returned."""
    return _next(task, now, {"status": Status.DONE, "result": result, "error": None, "finished_at": now})


def fail(task: Task, error: str, now: Timestamp, delay_s: float) -> Task:
    """The job after a failed attempt: waiting for the next one, or failed when that was the last."""
    if task.attempts < task.max_attempts:
        return _next(task, now, {"status": Status.PENDING, "error": error, "run_at": later(now, delay_s)})
    return give_up(task, error, now)


def give_up(task: Task, error: str, now: Timestamp) -> Task:
    """The job failed for good."""
    return _next(task, now, {"status": Status.FAILED, "error": error, "finished_at": now})


def hand_back(task: Task, now: Timestamp) -> Task:
    """The job pending again, its attempt unspent: the worker stopped before the handler was through."""
    waiting = {"status": Status.PENDING, "attempts": task.attempts - 1, "started_at": None}
    return _next(task, now, waiting)


def wake_at(task: Task) -> Timestamp | None:
    """When a worker should be told of this job, or None when there is nothing to tell.

    What is due at once is due since ever, so that a clock set back does not make it wait.
    """
    if task.is_job and task.status is Status.PENDING:
        return task.run_at or EPOCH
    return None


def remind_at(task: Task) -> Timestamp | None:
    """When people should be reminded that the task is due."""
    return task.due_at if task.status.is_open else None


def alarms(
    before: Task, after: Task, now: Timestamp
) -> tuple[Timestamp | UnsetType | None, Timestamp | UnsetType | None]:
    """When to wake and when to remind after an edit; UNSET: as it was."""
    wake: Timestamp | UnsetType | None = UNSET
    remind: Timestamp | UnsetType | None = UNSET
    if dispatch_changed(before, after) or not after.status.is_open:
        wake = wake_at(after)
    if before.due_at != after.due_at:
        remind = remind_at(after)
    elif before.status.is_open != after.status.is_open:
        at = remind_at(after)
        remind = at if at is not None and at > now else None
    return wake, remind


def dispatch_changed(before: Task, after: Task) -> bool:
    """Whether a worker must be told anew: the job became ready, or when and how it runs was edited."""
    return after.status is Status.PENDING and (
        before.status is not Status.PENDING
        or (before.handler, before.run_at, before.priority) != (after.handler, after.run_at, after.priority)
    )


def due_key(task: Task) -> Timestamp:
    """What lists sort by: tasks without a due date come after all others."""
    return task.due_at or NEVER


def _check_job_edit(task: Task, values: dict[str, object]) -> None:
    if values.get("status", task.status) is not task.status:
        raise Conflict("Workers alone move jobs; cancel or retry it instead.", code="bad_transition")
    how_it_runs = {"handler", "payload", "run_at", "max_attempts"} & values.keys()
    edited = sorted(name for name in how_it_runs if not _same(values[name], getattr(task, name)))
    if edited and task.status is not Status.PENDING:
        raise Conflict(f"{', '.join(edited)} cannot change once the job has started.", code="bad_transition")


def _times_of(status: Status, task: Task, now: Timestamp) -> dict[str, object]:
    match status:
        case Status.PENDING:
            return {"started_at": None, "finished_at": None}
        case Status.IN_PROGRESS:
            return {"started_at": now, "finished_at": None}
        case Status.DONE | Status.FAILED | Status.CANCELLED:
            return {"started_at": task.started_at, "finished_at": now}


def _same(left: object, right: object) -> bool:
    if isinstance(left, Raw) and isinstance(right, Raw):
        return bytes(left) == bytes(right)
    return left == right


def _next(task: Task, now: Timestamp, values: dict[str, object]) -> Task:
    # A clock that went back must not make updated_at run backwards for one task.
    return msgspec.structs.replace(task, **values, version=task.version + 1, updated_at=max(now, task.updated_at))


_COMPARED = tuple(name for name in Task.__struct_fields__ if name not in {"version", "updated_at"})
_compared = attrgetter(*_COMPARED)


def changes(before: Task, after: Task) -> dict[str, tuple[object, object]]:
    """What differs between two snapshots: field name to (from, to), the bookkeeping fields left out."""
    pairs = zip(_COMPARED, _compared(before), _compared(after), strict=True)
    # Most fields of the next snapshot are the very objects of the last one.
    return {name: (old, new) for name, old, new in pairs if old is not new and not _same(old, new)}

"""Events: immutable facts on the log, as CloudEvents 1.0 in JSON. The list of types is closed."""

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tasktide.domain.deliveries import Delivery
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.notifications import Kind, Notification
from tasktide.domain.tasks import Status, Task, changes
from tasktide.domain.times import Timestamp

D = TypeVar("D")

WORKER = "worker"
SYSTEM = "system"

TASK_INGESTED = "task.ingested"
TASK_EVENTS = "task.events"
TASK_INPUT = "task.input"
TASK_OUTPUT = "task.output"
NOTIFICATION_EVENTS = "notification.events"
DELIVERIES = "task.notifications"
# Who stores submissions.
INGEST = "ingest"
# Who must have read a topic before its records may go, whether or not they have run yet.
READERS: Mapping[str, tuple[str, ...]] = {
    TASK_INGESTED: (INGEST,),
    TASK_EVENTS: ("feed",),
    TASK_INPUT: ("worker",),
    TASK_OUTPUT: (),
    NOTIFICATION_EVENTS: ("inbox",),
    DELIVERIES: ("redeliver",),
}

TaskEventType = Literal[
    "task.created",
    "task.updated",
    "task.started",
    "task.completed",
    "task.failed",
    "task.cancelled",
    "task.deleted",
]


class Envelope(Struct, Generic[D], frozen=True, kw_only=True, gc=False):
    """What every event carries.

    `actor` is `user:<id>`, `worker` or `system`; `id` is derived, so that saying a thing twice says it once.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = "/tasktide"
    subject: str
    time: Timestamp
    actor: str
    traceparent: str | UnsetType = UNSET
    data: D


class TaskChanged(Struct, frozen=True, kw_only=True, gc=False):
    """A task after a change, and what changed: field to [from, to]."""

    task: Task
    changes: dict[str, tuple[Any, Any]] = {}


class Work(Struct, frozen=True, kw_only=True, gc=False):
    """A job for a worker: which attempt is wanted, of the job as it was scheduled."""

    task_id: TaskId
    handler: str
    payload: Raw
    priority: int
    attempt: int
    run_at: Timestamp | None = None
    creator_id: UserId | None = None


class Output(Struct, frozen=True, kw_only=True, gc=False):
    """What a job came to."""

    task_id: TaskId
    result: Raw
    processed_at: Timestamp


class Planned(Struct, frozen=True, kw_only=True, gc=False):
    """One message to one user; (user, event) is its natural key."""

    user_id: UserId
    kind: Kind
    task_id: TaskId | None
    message: str
    event_id: str


class TaskIngested(Envelope[Task], frozen=True, kw_only=True, gc=False):
    """A submission: accepted, not yet stored."""

    type: Literal["task.ingested"] = "task.ingested"


class TaskEvent(Envelope[TaskChanged], frozen=True, kw_only=True, gc=False):
    """Something happened to a task."""

    type: TaskEventType


class TaskWork(Envelope[Work], frozen=True, kw_only=True, gc=False):
    """A job is ready to run."""

    type: Literal["task.input"] = "task.input"


class TaskOutput(Envelope[Output], frozen=True, kw_only=True, gc=False):
    """A job has a result."""

    type: Literal["task.output"] = "task.output"


class NotificationPlanned(Envelope[Planned], frozen=True, kw_only=True, gc=False):
    """Somebody is to be told something."""

    type: Literal["notification.planned"] = "notification.planned"


Event = TaskIngested | TaskEvent | TaskWork | TaskOutput | NotificationPlanned

_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    TASK_INGESTED: msgspec.json.Decoder(TaskIngested),
    TASK_EVENTS: msgspec.json.Decoder(TaskEvent),
    TASK_INPUT: msgspec.json.Decoder(TaskWork),
    TASK_OUTPUT: msgspec.json.Decoder(TaskOutput),
    NOTIFICATION_EVENTS: msgspec.json.Decoder(NotificationPlanned),
    DELIVERIES: msgspec.json.Decoder(Delivery),  # only those that an operator replays come by the log
}
encode = msgspec.json.Encoder().encode


def decode(topic: str, value: bytes) -> Any:
    """The event in a record of a topic; msgspec.DecodeError when it cannot be read as one."""
    return _DECODERS[topic].decode(value)


def user(user_id: UserId) -> str:
    """The actor name of a user."""
    return f"user:{user_id}"


def ingested(task: Task, actor: str, traceparent: str | None) -> TaskIngested:
    """The submission of a task."""
    return TaskIngested(
        id=f"{task.id}.0",
        subject=f"task/{task.id}",
        time=task.created_at,
        actor=actor,
        traceparent=traceparent or UNSET,
        data=task,
    )


def created(task: Task, actor: str, traceparent: str | None) -> TaskEvent:
    """The first event of a task's life."""
    return _task_event("task.created", task, {}, actor, traceparent)


def changed(before: Task, after: Task, actor: str, traceparent: str | None = None) -> TaskEvent:
    """The event that leads from one snapshot to the next; its type follows from the status."""
    kind = "task.updated" if before.status is after.status else _BY_STATUS[after.status]
    return _task_event(kind, after, changes(before, after), actor, traceparent)


def deleted(task: Task, actor: str, now: Timestamp, traceparent: str | None = None) -> TaskEvent:
    """The last event of a task's life; its version is one above the last snapshot's."""
    last = msgspec.structs.replace(task, version=task.version + 1, updated_at=max(now, task.updated_at))
    return _task_event("task.deleted", last, {}, actor, traceparent)


def before(event: TaskEvent) -> Task:
    """The task as it was before an event, its payload and result aside; where it was not, as it is."""
    was = {
        field: msgspec.convert(change[0], _FIELD_TYPES[field])
        for field, change in event.data.changes.items()
        if _FIELD_TYPES.get(field, Raw) is not Raw
    }
    return msgspec.structs.replace(event.data.task, **was)


def work(task: Task, now: Timestamp) -> TaskWork:
    """The order to run a job's next attempt."""
    attempt = task.attempts + 1
    data = Work(
        task_id=task.id,
        handler=task.handler or "",
        payload=task.payload,
        priority=task.priority,
        attempt=attempt,
        run_at=task.run_at,
        creator_id=task.creator_id,
    )
    return TaskWork(id=f"{task.id}.run.{attempt}", subject=f"task/{task.id}", time=now, actor=SYSTEM, data=data)


def output(task: Task) -> TaskOutput:
    """The result of a finished job, for anyone who reads the topic."""
    when = task.finished_at or task.updated_at
    data = Output(task_id=task.id, result=task.result, processed_at=when)
    event_id = f"{task.id}.{task.version}.out"
    return TaskOutput(id=event_id, subject=f"task/{task.id}", time=when, actor=WORKER, data=data)


def planned(plan: Planned, actor: str, now: Timestamp) -> NotificationPlanned:
    """The order to put one message into one inbox."""
    event_id = f"{plan.event_id}@{plan.user_id}"
    return NotificationPlanned(id=event_id, subject=f"user/{plan.user_id}", time=now, actor=actor, data=plan)


def notification(planned: NotificationPlanned, number: NotificationId) -> Notification:
    """The notification that a planned one becomes when it is stored."""
    plan = planned.data
    return Notification(
        id=number,
        user_id=plan.user_id,
        kind=plan.kind,
        task_id=plan.task_id,
        message=plan.message,
        created_at=planned.time,
    )


_FIELD_TYPES = {field.name: field.type for field in msgspec.structs.fields(Task)}
_BY_STATUS: dict[Status, TaskEventType] = {
    Status.PENDING: "task.updated",
    Status.IN_PROGRESS: "task.started",
    Status.DONE: "task.completed",
    Status.FAILED: "task.failed",
    Status.CANCELLED: "task.cancelled",
}


def _task_event(
    kind: TaskEventType,
    task: Task,
    diff: dict[str, tuple[object, object]],
    actor: str,
    traceparent: str | None,
) -> TaskEvent:
    return TaskEvent(
        id=f"{task.id}.{task.version}",
        subject=f"task/{task.id}",
        time=task.updated_at,
        actor=actor,
        traceparent=traceparent or UNSET,
        type=kind,
        data=TaskChanged(task=task, changes=diff),
    )

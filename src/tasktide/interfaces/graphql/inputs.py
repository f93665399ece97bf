"""The inputs of the schema, and how they become what the use cases take."""

from enum import Enum
from typing import Any

import msgspec
import strawberry
from msgspec import Raw
from strawberry import ID, UNSET

from tasktide.domain import fields, paging
from tasktide.domain.errors import invalid
from tasktide.domain.fields import NewTask, TaskFields
from tasktide.domain.notifications import Channel, Kind
from tasktide.domain.paging import TaskFilter
from tasktide.domain.tasks import Status
from tasktide.domain.times import Timestamp
from tasktide.interfaces.graphql.scalars import Json, reference
from tasktide.usecases.notifications import DirectMessage


@strawberry.input(description="The settable fields of a task. Absent: as it is; null: the default.")
class TaskInput:
    title: str | None = UNSET
    description: str | None = UNSET
    status: Status | None = UNSET
    priority: int | None = UNSET
    labels: list[str] | None = UNSET
    performer_id: ID | None = UNSET
    observer_ids: list[ID] | None = UNSET
    due_at: Timestamp | None = UNSET
    handler: str | None = UNSET
    payload: Json | None = UNSET
    run_at: Timestamp | None = UNSET
    max_attempts: int | None = UNSET

    def fields(self) -> TaskFields:
        """As an edit takes it."""
        return TaskFields(**_sent(self))


@strawberry.input(description="A new task: a title, a payload or both, and any other field.")
class NewTaskInput(TaskInput):
    creator_id: ID | None = UNSET

    def draft(self) -> NewTask:
        """As a submission takes it."""
        return NewTask(**_sent(self))


@strawberry.input(description="Which tasks: all conditions hold at once, of `statuses` any.")
class TaskFilterInput:
    performer_id: ID | None = None
    creator_id: ID | None = None
    observer_id: ID | None = None
    statuses: list[Status] | None = None
    handler: str | None = None
    job: bool | None = strawberry.field(default=None, description="Only jobs, or only what people do.")
    label: str | None = None
    q: str | None = strawberry.field(default=None, description="Text in the title or the description.")
    due_before: Timestamp | None = None
    updated_after: Timestamp | None = None

    def wanted(self) -> TaskFilter:
        """As a list takes it."""
        return TaskFilter(
            performer_id=_id("performer_id", self.performer_id),
            creator_id=_id("creator_id", self.creator_id),
            observer_id=_id("observer_id", self.observer_id),
            statuses=tuple(self.statuses or ()),
            handler=paging.check_text("handler", self.handler),
            job=self.job,
            label=paging.check_text("label", self.label),
            q=paging.check_text("q", self.q) or None,
            due_before=_time("due_before", self.due_before),
            updated_after=_time("updated_after", self.updated_after),
        )


@strawberry.input(description="One cell of the matrix of channels and kinds.")
class PreferenceInput:
    channel: Channel
    kind: Kind
    enabled: bool


@strawberry.input(description="A notification for some users; without `userIds` for all.")
class MessageInput:
    message: str
    user_ids: list[ID] | None = None
    kind: Kind | None = None
    task_id: ID | None = None

    def direct(self) -> DirectMessage:
        """As the use case takes it."""
        given: dict[str, Any] = {} if self.kind is None else {"kind": self.kind}
        users = self.user_ids
        return DirectMessage(
            user_ids="all" if users is None else [reference(f"user_ids[{i}]", one) for i, one in enumerate(users)],
            message=self.message,
            task_id=_id("task_id", self.task_id),
            **given,
        )


@strawberry.enum(description="By what tasks are listed.")
class TaskSort(Enum):
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    PRIORITY = "priority"
    DUE_AT = "due_at"


def _sent(given: TaskInput) -> dict[str, Any]:
    """The fields that were sent, by the names and types of the domain."""
    values = {name: value for name, value in vars(given).items() if value is not UNSET}
    for field in ("title", "status"):
        if field in values and values[field] is None:
            raise invalid(field, "must not be null")
    for field in ("creator_id", "performer_id"):
        if values.get(field) is not None:
            values[field] = reference(field, values[field])
    if values.get("observer_ids") is not None:
        values["observer_ids"] = [reference(f"observer_ids[{i}]", one) for i, one in enumerate(values["observer_ids"])]
    if "payload" in values:
        values["payload"] = Raw(msgspec.json.encode(values["payload"]))
    return values


def _id(field: str, word: ID | None) -> Any:
    return None if word is None else reference(field, word)


def _time(field: str, text: Timestamp | None) -> Timestamp | None:
    return None if text is None else fields.time(field, text)

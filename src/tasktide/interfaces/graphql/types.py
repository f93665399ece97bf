"""The types of the schema, each made from a value of the domain."""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
import strawberry
from msgspec import Raw
from strawberry import ID, Private

from tasktide.domain import access, paging
from tasktide.domain.access import Action
from tasktide.domain.errors import Forbidden, NotFound
from tasktide.domain.events import TaskEvent
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.letters import DeadLetter
from tasktide.domain.notifications import Channel, Kind, Notification
from tasktide.domain.paging import Cursor, TaskFilter
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Role, User
from tasktide.interfaces.graphql.context import Info
from tasktide.interfaces.graphql.scalars import Json, shown
from tasktide.usecases.webhooks import WebhookInfo

T = TypeVar("T")


@strawberry.type(description="Where a page ends, and whether another one follows.")
class PageInfo:
    has_next_page: bool
    end_cursor: str | None = None


@strawberry.type(description="One item of a page, and the cursor to go on behind it.")
class Edge(Generic[T]):
    node: T
    cursor: str


@strawberry.type(description="A page: ask for the next one with `after: pageInfo.endCursor`.")
class Connection(Generic[T]):
    edges: list[Edge[T]]
    page_info: PageInfo

    @strawberry.field(description="The items without their cursors.")
    def nodes(self) -> list[T]:
        return [edge.node for edge in self.edges]


@strawberry.type(name="User", description="A person or a program with an account.")
class UserType:
    id: ID
    email: str
    name: str
    role: Role
    created_at: Timestamp

    @classmethod
    def of(cls, user: User) -> "UserType":
        return cls(id=ID(str(user.id)), email=user.email, name=user.name, role=user.role, created_at=user.created_at)


@strawberry.type(description="One field that an event changed.")
class FieldChange:
    field: str
    before: Json | None
    after: Json | None


@strawberry.type(description="One event of a task's life.")
class HistoryEvent:
    id: ID
    type: str
    time: Timestamp
    version: int
    changes: list[FieldChange]
    actor: str = strawberry.field(description="`user:<id>`, `worker` or `system`.")

    @strawberry.field(description="The user who acted; null when it was no user.")
    async def user(self, info: Info) -> UserType | None:
        kind, _, user_id = self.actor.partition(":")
        return await load_user(info, UserId(int(user_id))) if kind == "user" and user_id.isdigit() else None

    @classmethod
    def of(cls, raw: Raw) -> "HistoryEvent":
        event = msgspec.json.decode(raw)
        return cls(
            id=ID(event["id"]),
            type=event["type"],
            time=event["time"],
            version=event["data"]["version"],
            changes=_changes(event["data"]["changes"]),
            actor=event["actor"],
        )


@strawberry.type(name="Task", description="One unit of work; with a handler it is a job for workers.")
class TaskType:
    task: Private[Task]
    id: ID
    title: str
    description: str
    status: Status
    priority: int
    labels: list[str]
    creator_id: ID
    performer_id: ID | None
    observer_ids: list[ID]
    due_at: Timestamp | None
    handler: str | None
    run_at: Timestamp | None
    error: str | None
    attempts: int
    max_attempts: int
    version: int
    created_at: Timestamp
    updated_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None

    @classmethod
    def of(cls, task: Task) -> "TaskType":
        return cls(
            task=task,
            id=ID(str(task.id)),
            title=task.title,
            description=task.description,
            status=task.status,
            priority=task.priority,
            labels=list(task.labels),
            creator_id=ID(str(task.creator_id)),
            performer_id=None if task.performer_id is None else ID(str(task.performer_id)),
            observer_ids=[ID(str(user_id)) for user_id in task.observer_ids],
            due_at=task.due_at,
            handler=task.handler,
            run_at=task.run_at,
            error=task.error,
            attempts=task.attempts,
            max_attempts=task.max_attempts,
            version=task.version,
            created_at=task.created_at,
            updated_at=task.updated_at,
            started_at=task.started_at,
            finished_at=task.finished_at,
        )

    @strawberry.field(description="What a job is given.")
    def payload(self) -> Json | None:
        return shown(self.task.payload)

    @strawberry.field(description="What a job came to.")
    def result(self) -> Json | None:
        return shown(self.task.result)

    @strawberry.field(description="Null when the account is gone.")
    async def creator(self, info: Info) -> UserType | None:
        return await load_user(info, self.task.creator_id)

    @strawberry.field(description="Who is to do it.")
    async def performer(self, info: Info) -> UserType | None:
        return None if self.task.performer_id is None else await load_user(info, self.task.performer_id)

    @strawberry.field(description="Who is told about it.")
    async def observers(self, info: Info) -> list[UserType]:
        found = await info.context.users.load_many(self.task.observer_ids)
        return [UserType.of(user) for user in found if user is not None]

    @strawberry.field(description="Whether the caller may change it.")
    def can_change(self, info: Info) -> bool:
        return self._may(info, Action.TASK_CHANGE)

    @strawberry.field(description="Whether the caller may delete it.")
    def can_delete(self, info: Info) -> bool:
        return self._may(info, Action.TASK_DELETE)

    @strawberry.field(description="What happened to it, oldest first.")
    async def history(
        self, info: Info, first: int = paging.DEFAULT_LIMIT, after: str | None = None
    ) -> Connection[HistoryEvent]:
        limit = paging.check_limit(first)
        try:
            page = await info.context.platform.tasks.history(self.task.id, after, limit)
        except NotFound:  # deleted meanwhile
            return connection([], has_more=False)
        order = f"history.{self.task.id}"
        found = [HistoryEvent.of(raw) for raw in page.items]
        edges = [Edge(node=one, cursor=paging.encode(Cursor(order, one.version, self.task.id))) for one in found]
        return connection(edges, has_more=page.next_cursor is not None)

    def _may(self, info: Info, action: Action) -> bool:
        try:
            access.check(info.context.actor, action, self.task)
        except Forbidden:
            return False
        return True


@strawberry.type(description="A page of tasks.")
class TaskConnection:
    wanted: Private[TaskFilter]
    edges: list[Edge[TaskType]]
    page_info: PageInfo

    @strawberry.field(description="The items without their cursors.")
    def nodes(self) -> list[TaskType]:
        return [edge.node for edge in self.edges]

    @strawberry.field(description="How many stored tasks match, on all pages. Costs a count.")
    async def total_count(self, info: Info) -> int:
        return await info.context.platform.tasks.count(info.context.actor, self.wanted)


@strawberry.type(name="Notification", description="One message in the caller's inbox; ids increase.")
class NotificationType:
    id: ID
    kind: Kind
    task_id: ID | None
    message: str
    created_at: Timestamp
    read_at: Timestamp | None

    @strawberry.field(description="The task it is about; null without one, or when it was deleted.")
    async def task(self, info: Info) -> Annotated["TaskType", strawberry.lazy(".types")] | None:
        if self.task_id is None:
            return None
        found = await info.context.tasks.load(TaskId(int(self.task_id)))
        return None if found is None else TaskType.of(found)

    @classmethod
    def of(cls, one: Notification) -> "NotificationType":
        return cls(
            id=ID(str(one.id)),
            kind=one.kind,
            task_id=None if one.task_id is None else ID(str(one.task_id)),
            message=one.message,
            created_at=one.created_at,
            read_at=one.read_at,
        )


@strawberry.type(description="A page of the caller's inbox.")
class InboxConnection:
    edges: list[Edge[NotificationType]]
    page_info: PageInfo
    unread_count: int

    @strawberry.field(description="The items without their cursors.")
    def nodes(self) -> list[NotificationType]:
        return [edge.node for edge in self.edges]


@strawberry.type(description="Whether a kind of notification comes over a channel.")
class Preference:
    channel: Channel
    kind: Kind
    enabled: bool


@strawberry.type(description="Where my notifications go as HTTP requests. The secret that signs them is told once.")
class Webhook:
    url: str
    created_at: Timestamp
    secret: str | None

    @classmethod
    def of(cls, info: WebhookInfo) -> "Webhook":
        return cls(url=info.url, created_at=info.created_at, secret=info.secret)


@strawberry.type(description="Whether a webhook took a call that tries it, and else what was wrong.")
class WebhookTrial:
    delivered: bool
    detail: str


@strawberry.type(name="TaskResult", description="What a finished job came to.")
class TaskResultType:
    task_id: ID
    result: Json | None
    processed_at: Timestamp


@strawberry.type(description="Whether an engine answers, and how fast.")
class Engine:
    name: str
    status: str
    latency_ms: float
    error: str | None


@strawberry.type(description="What went through a pipeline of this process, and how far it is behind.")
class PipelineFlow:
    name: str
    records: float
    lag_records: float
    lag_seconds: float
    stalled: bool


@strawberry.type(description="How the system is.")
class SystemStats:
    status: str
    jobs_done: int
    average_processing_time_ms: float
    live_connections: float
    requests: float
    engines: list[Engine]
    pipelines: list[PipelineFlow]


@strawberry.type(description="A record that could not be handled, kept until it is replayed or dropped.")
class Letter:
    id: ID
    topic: str
    pipeline: str
    key: str
    reason: str
    attempts: int
    parked_at: Timestamp
    value: str

    @classmethod
    def of(cls, letter: DeadLetter) -> "Letter":
        return cls(
            id=ID(str(letter.id)),
            topic=letter.topic,
            pipeline=letter.pipeline,
            key=letter.key,
            reason=letter.reason,
            attempts=letter.attempts,
            parked_at=letter.parked_at,
            value=letter.value.decode("utf-8", "replace"),
        )


@strawberry.type(
    name="TaskEvent",
    description="Something happened to a task; `task` is what it is now. May be said twice: go by version.",
)
class TaskEventType:
    id: ID
    type: str
    time: Timestamp
    actor: str
    task: TaskType
    changes: list[FieldChange]

    @classmethod
    def of(cls, event: TaskEvent) -> "TaskEventType":
        return cls(
            id=ID(event.id),
            type=event.type,
            time=event.time,
            actor=event.actor,
            task=TaskType.of(event.data.task),
            changes=_changes(event.data.changes),
        )


@strawberry.type(description="Events were lost because the reader was too slow: fetch anew what is shown.")
class Gap:
    reason: str = "too slow"


TaskFeedItem = Annotated[TaskEventType | Gap, strawberry.union("TaskFeedItem")]


def connection(edges: list[Edge[T]], *, has_more: bool) -> Connection[T]:
    """A page from its edges."""
    return Connection(edges=edges, page_info=page_info([edge.cursor for edge in edges], has_more=has_more))


def page_info(cursors: list[str], *, has_more: bool) -> PageInfo:
    """Where a page ends."""
    return PageInfo(has_next_page=has_more, end_cursor=cursors[-1] if cursors else None)


async def load_user(info: Info, user_id: UserId) -> UserType | None:
    """A user, asked for together with all others of this operation."""
    user = await info.context.users.load(user_id)
    return None if user is None else UserType.of(user)


def _changes(changes: dict[str, Any]) -> list[FieldChange]:
    return [FieldChange(field=field, before=_plain(one[0]), after=_plain(one[1])) for field, one in changes.items()]


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(msgspec.json.decode(value) if isinstance(value, Raw) else value)

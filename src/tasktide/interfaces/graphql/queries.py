"""What can be asked for."""

import strawberry
from strawberry import ID

from tasktide.domain import access, paging
from tasktide.domain.access import Action
from tasktide.domain.errors import NotFound
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.paging import Cursor, TaskFilter, TaskQuery
from tasktide.interfaces.graphql.context import Info
from tasktide.interfaces.graphql.inputs import TaskFilterInput, TaskSort
from tasktide.interfaces.graphql.scalars import number, position, shown
from tasktide.interfaces.graphql.types import (
    Connection,
    Edge,
    Engine,
    InboxConnection,
    Letter,
    NotificationType,
    PipelineFlow,
    Preference,
    SystemStats,
    TaskConnection,
    TaskResultType,
    TaskType,
    UserType,
    Webhook,
    connection,
    load_user,
    page_info,
)
from tasktide.usecases.notifications import InboxPage


@strawberry.type
class Query:
    """Reading needs a sign-in and nothing more, except where it says so."""

    @strawberry.field(description="Who I am; null when nobody is signed in.")
    async def me(self, info: Info) -> UserType | None:
        if info.context.scope.get("actor") is None:
            return None
        return UserType.of((await info.context.platform.users.me(info.context.actor)).user)

    @strawberry.field(description="One user; null when there is none.")
    async def user(self, info: Info, id: ID) -> UserType | None:
        return await _user(info, id)

    @strawberry.field(description="All users, by id.")
    async def users(
        self, info: Info, first: int = paging.DEFAULT_LIMIT, after: str | None = None
    ) -> Connection[UserType]:
        _ = info.context.actor
        page = await info.context.platform.users.find(after, paging.check_limit(first))
        edges = [
            Edge(node=UserType.of(user), cursor=paging.encode(Cursor("users", "", user.id))) for user in page.items
        ]
        return connection(edges, has_more=page.next_cursor is not None)

    @strawberry.field(description="One task; null when there is none.")
    async def task(self, info: Info, id: ID) -> TaskType | None:
        _ = info.context.actor
        try:
            return TaskType.of(await info.context.platform.tasks.get(TaskId(number(id, "task"))))
        except NotFound:
            return None

    @strawberry.field(description="Tasks that match the filter.")
    async def tasks(
        self,
        info: Info,
        filter: TaskFilterInput | None = None,
        sort: TaskSort = TaskSort.CREATED_AT,
        descending: bool = True,
        first: int = paging.DEFAULT_LIMIT,
        after: str | None = None,
    ) -> TaskConnection:
        actor = info.context.actor
        wanted = TaskFilter() if filter is None else filter.wanted()
        limit = paging.check_limit(first)
        query = TaskQuery(filter=wanted, sort=sort.value, descending=descending, limit=limit).behind(after)
        page = await info.context.platform.tasks.find(actor, query)
        edges = [Edge(node=TaskType.of(task), cursor=query.cursor_of(task)) for task in page.items]
        ends = page_info([edge.cursor for edge in edges[-1:]], has_more=page.next_cursor is not None)
        return TaskConnection(wanted=wanted, edges=edges, page_info=ends)

    @strawberry.field(description="What a job came to, waiting for it up to `wait` seconds; null while it is open.")
    async def task_result(self, info: Info, id: ID, wait: float = 0.0) -> TaskResultType | None:
        _ = info.context.actor
        found = await info.context.platform.tasks.result(TaskId(number(id, "task")), wait)
        if found is None:
            return None
        return TaskResultType(
            task_id=ID(str(found.task_id)), result=shown(found.result), processed_at=found.processed_at
        )

    @strawberry.field(description="My inbox, newest first; with `afterId`, what came after that id, oldest first.")
    async def notifications(
        self,
        info: Info,
        unread: bool = False,
        first: int = paging.DEFAULT_LIMIT,
        after: str | None = None,
        after_id: ID | None = None,
    ) -> InboxConnection:
        desk, actor = info.context.platform.notifications, info.context.actor
        limit = paging.check_limit(first)
        if after_id is None:
            order = "unread" if unread else "inbox"
            page = await desk.newest(actor, unread=unread, cursor=after, limit=limit)
        else:
            order = "after"
            page = await desk.after(actor, position("after_id", after_id), unread=unread, cursor=after, limit=limit)
        return _inbox(page, order)

    @strawberry.field(description="What I want to hear over which channel.")
    async def preferences(self, info: Info) -> list[Preference]:
        matrix = await info.context.platform.notifications.preferences(info.context.actor)
        return [
            Preference(channel=channel, kind=kind, enabled=enabled)
            for channel, row in matrix.items()
            for kind, enabled in row.items()
        ]

    @strawberry.field(description="Where my notifications go as HTTP requests; null when they go nowhere.")
    async def webhook(self, info: Info) -> Webhook | None:
        try:
            return Webhook.of(await info.context.platform.webhooks.get(info.context.actor))
        except NotFound:
            return None

    @strawberry.field(description="How the system is. For admins.")
    async def stats(self, info: Info) -> SystemStats:
        access.check(info.context.actor, Action.SYSTEM)
        stats = info.context.platform.stats
        health, totals, traffic = await stats.health(), await stats.totals(), stats.traffic()
        return SystemStats(
            status=health.status,
            jobs_done=totals.total_tasks,
            average_processing_time_ms=totals.average_processing_time_ms,
            live_connections=traffic.listeners,
            requests=traffic.requests,
            engines=[
                Engine(name=name, status=one.status, latency_ms=one.latency_ms, error=one.error)
                for name, one in health.engines.items()
            ],
            pipelines=[
                PipelineFlow(
                    name=one.pipeline,
                    records=one.records,
                    lag_records=one.lag_records,
                    lag_seconds=one.lag_s,
                    stalled=one.is_stalled,
                )
                for one in stats.flows()
            ],
        )

    @strawberry.field(description="Records that could not be handled, oldest first. For admins.")
    async def letters(
        self, info: Info, first: int = paging.DEFAULT_LIMIT, after: str | None = None
    ) -> Connection[Letter]:
        limit = paging.check_limit(first)
        last = paging.decode(after, "letters")
        found = await info.context.platform.letters.find(info.context.actor, last.id if last else 0, limit + 1)
        edges = [
            Edge(node=Letter.of(one), cursor=paging.encode(Cursor("letters", "", one.id))) for one in found[:limit]
        ]
        return connection(edges, has_more=len(found) > limit)


async def _user(info: Info, word: ID) -> UserType | None:
    _ = info.context.actor
    try:
        return await load_user(info, UserId(number(word, "user")))
    except NotFound:
        return None


def _inbox(page: InboxPage, order: str) -> InboxConnection:
    edges = [Edge(node=NotificationType.of(one), cursor=paging.encode(Cursor(order, "", one.id))) for one in page.items]
    ends = page_info([edge.cursor for edge in edges[-1:]], has_more=page.next_cursor is not None)
    return InboxConnection(edges=edges, page_info=ends, unread_count=page.unread_count)

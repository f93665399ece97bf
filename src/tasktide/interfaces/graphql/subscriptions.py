"""What can be watched: each ends with an error when the session is over or the process stops."""

from collections.abc import AsyncGenerator

import msgspec
import strawberry
from strawberry import ID

from tasktide.domain.errors import NotFound
from tasktide.domain.events import TaskEvent, before
from tasktide.domain.ids import TaskId
from tasktide.domain.notifications import Notification
from tasktide.domain.paging import TaskFilter
from tasktide.interfaces.graphql.context import Info
from tasktide.interfaces.graphql.inputs import TaskFilterInput
from tasktide.interfaces.graphql.scalars import number, position
from tasktide.interfaces.graphql.types import Gap, NotificationType, TaskEventType, TaskFeedItem, TaskType, UserType

_decode = msgspec.json.Decoder(Notification).decode


@strawberry.type
class Subscription:
    """Over graphql-transport-ws."""

    @strawberry.subscription(
        description="My notifications as they come; with `after`, those that were missed first, in order, none twice."
    )
    async def notification_received(
        self, info: Info, after: ID | None = None
    ) -> AsyncGenerator[NotificationType, None]:
        cursor = None if after is None else position("after", after)
        live = await info.context.platform.live.open(info.context.actor, cursor)
        try:
            while True:
                for item in await live.read():
                    info.context.forget()
                    yield NotificationType.of(_decode(item.body))
        finally:
            live.close()

    @strawberry.subscription(description="A task as it is now and after each change; null, and the end, once deleted.")
    async def task_updated(self, info: Info, id: ID) -> AsyncGenerator[TaskType | None, None]:
        task_id = TaskId(number(id, "task"))
        signals = await info.context.platform.live.watch(info.context.actor, task_id)
        version = 0
        try:
            while True:
                try:
                    task = await info.context.platform.tasks.get(task_id)
                except NotFound:
                    if not version:
                        raise
                    yield None
                    return
                if task.version > version:
                    version = task.version
                    info.context.forget()
                    yield TaskType.of(task)
                await signals.wait()
        finally:
            signals.close()

    @strawberry.subscription(
        description="Who else looks at a task now, each time it changes; watching it shows you there."
    )
    async def task_viewers(self, info: Info, id: ID) -> AsyncGenerator[list[UserType], None]:
        task_id = TaskId(number(id, "task"))
        await info.context.platform.tasks.get(task_id)
        viewers = await info.context.platform.live.look(info.context.actor, task_id)
        try:
            while True:
                found = await info.context.platform.users.get_many(await viewers.read())
                yield [UserType.of(user) for user in found.values()]
        finally:
            await viewers.close()

    @strawberry.subscription(
        description="What happens to tasks that match the filter, or did before; a Gap when the reader was too slow."
    )
    async def task_events(
        self,
        info: Info,
        filter: TaskFilterInput | None = None,
    ) -> AsyncGenerator[TaskFeedItem, None]:
        wanted = TaskFilter() if filter is None else filter.wanted()
        stream = await info.context.platform.live.watch_all(info.context.actor)
        try:
            while True:
                told = await stream.read()
                if told is None:
                    yield Gap()
                    continue
                for event in told:
                    if _concerns(wanted, event):
                        info.context.forget()
                        yield TaskEventType.of(event)
        finally:
            stream.close()


def _concerns(wanted: TaskFilter, event: TaskEvent) -> bool:
    """Whether the task matches after the event, or did before it."""
    return wanted.matches(event.data.task) or wanted.matches(before(event))

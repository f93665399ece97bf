"""What can be changed: everything that REST can, by the same use cases."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import strawberry
from strawberry import ID

from tasktide.domain import events
from tasktide.domain.errors import FieldError, Invalid, TasktideError, invalid
from tasktide.domain.fields import NewTask
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.replies import Reply, Reserved
from tasktide.domain.tasks import Task
from tasktide.domain.users import Role
from tasktide.interfaces import actor as actors
from tasktide.interfaces import session
from tasktide.interfaces.graphql.context import Context, Info
from tasktide.interfaces.graphql.inputs import MessageInput, NewTaskInput, PreferenceInput, TaskInput
from tasktide.interfaces.graphql.scalars import number
from tasktide.interfaces.graphql.types import (
    NotificationType,
    Preference,
    TaskType,
    UserType,
    Webhook,
    WebhookTrial,
)

T = TypeVar("T")
# Tasks changed by one request; more would hold the others up.
MOST_AT_ONCE = 200


@strawberry.type(description="A sign-in. Programs send `token` as `Authorization: Bearer`; browsers ask for a cookie.")
class SignedIn:
    user: UserType
    token: str | None = strawberry.field(description="Null when it went into the cookie.")
    expires_in: int


@strawberry.type(description="What was accepted, in the order given.")
class Accepted:
    ids: list[ID]


@strawberry.type(description="One of many changes: the task after it, or why it was not changed.")
class ChangeOutcome:
    id: ID
    task: TaskType | None = None
    code: str | None = None
    detail: str | None = None


@strawberry.type
class Mutation:
    """Errors carry the same codes as REST, in `extensions`."""

    @strawberry.mutation(description="Make an account. The first one is admin.")
    async def register(self, info: Info, email: str, name: str, password: str) -> UserType:
        await info.context.admit_sign_in()
        await info.context.platform.users.check_registration(actors.found(info.context.scope))
        return UserType.of(await info.context.platform.users.register(email, name, password))

    @strawberry.mutation(description="Sign in; with `cookie`, this browser is signed in and no script sees the token.")
    async def sign_in(
        self,
        info: Info,
        email: str,
        password: str,
        cookie: bool = False,
    ) -> SignedIn:
        if cookie and info.context.is_socket:
            raise invalid("cookie", "can only be set over HTTP")
        await info.context.admit_sign_in()
        signed = await info.context.platform.users.login(email, password)
        user = (await info.context.platform.users.get(signed.id)).user
        if cookie:
            session.give(info.context.scope, info.context.response.headers, signed.token, signed.expires_in)
        return SignedIn(user=UserType.of(user), token=None if cookie else signed.token, expires_in=signed.expires_in)

    @strawberry.mutation(description="Sign out: the session is over everywhere at once.")
    async def sign_out(self, info: Info) -> bool:
        await info.context.platform.users.logout(info.context.actor)
        if not info.context.is_socket:
            session.take(info.context.scope, info.context.response.headers)
        return True

    @strawberry.mutation(description="Change my name or password; a new password ends my other sessions.")
    async def update_me(
        self,
        info: Info,
        name: str | None = None,
        password: str | None = None,
        current_password: str | None = None,
    ) -> UserType:
        account = await info.context.platform.users.change_me(
            info.context.actor, name=name, password=password, current_password=current_password
        )
        info.context.forget()
        return UserType.of(account.user)

    @strawberry.mutation(description="Make somebody an admin or a member. For admins.")
    async def set_role(self, info: Info, user_id: ID, role: Role) -> UserType:
        account = await info.context.platform.users.change_role(
            info.context.actor, UserId(number(user_id, "user")), role
        )
        info.context.forget()
        return UserType.of(account.user)

    @strawberry.mutation(description="Submit a task. The same key and input again give the same task.")
    async def create_task(self, info: Info, input: NewTaskInput, idempotency_key: str | None = None) -> TaskType:
        context, draft = info.context, input.draft()

        async def work(reserved: Reserved | None) -> Task:
            return await context.platform.submissions.submit(
                context.actor, draft, traceparent=context.traceparent, reserved=reserved
            )

        task = await _once(
            context, "createTask", idempotency_key, draft, lambda: context.platform.submissions.reserve(1), work, Task
        )
        return TaskType.of(task)

    @strawberry.mutation(description="Submit many tasks, all or none.")
    async def create_tasks(
        self, info: Info, inputs: list[NewTaskInput], idempotency_key: str | None = None
    ) -> Accepted:
        context = info.context
        context.spend("inputs", len(inputs), context.platform.limits.batch_items)
        drafts, faults = _drafts(inputs)

        async def work(reserved: Reserved | None) -> list[int]:
            tasks = await context.platform.submissions.submit_many(
                context.actor, drafts, faults, traceparent=context.traceparent, reserved=reserved
            )
            return [task.id for task in tasks]

        ids = await _once(
            context,
            "createTasks",
            idempotency_key,
            drafts,
            lambda: context.platform.submissions.reserve(len(drafts)),
            work,
            list[int],
        )
        return Accepted(ids=[ID(str(one)) for one in ids])

    @strawberry.mutation(description="Set some fields. With `ifVersion`, only if nobody changed it meanwhile.")
    async def update_task(self, info: Info, id: ID, input: TaskInput, if_version: int | None = None) -> TaskType:
        return TaskType.of(await _change(info, id, input, if_version, replace=False))

    @strawberry.mutation(description="Set all settable fields; one that is absent goes back to its default.")
    async def replace_task(self, info: Info, id: ID, input: TaskInput, if_version: int | None = None) -> TaskType:
        return TaskType.of(await _change(info, id, input, if_version, replace=True))

    @strawberry.mutation(description="Set the same fields of many tasks; each tells how it went.")
    async def update_tasks(self, info: Info, ids: list[ID], input: TaskInput) -> list[ChangeOutcome]:
        return await _each(info, ids, lambda one: _change(info, one, input, None, replace=False))

    @strawberry.mutation(description="Remove a task. For its creator and admins.")
    async def delete_task(self, info: Info, id: ID, if_version: int | None = None) -> bool:
        await _delete(info, id, if_version)
        return True

    @strawberry.mutation(description="Remove many tasks; each tells how it went.")
    async def delete_tasks(self, info: Info, ids: list[ID]) -> list[ChangeOutcome]:
        return await _each(info, ids, lambda one: _delete(info, one, None))

    @strawberry.mutation(description="Begin anew with a failed or cancelled task.")
    async def retry_task(self, info: Info, id: ID) -> TaskType:
        return TaskType.of(await _retry(info, id))

    @strawberry.mutation(description="Begin anew with many; each tells how it went.")
    async def retry_tasks(self, info: Info, ids: list[ID]) -> list[ChangeOutcome]:
        return await _each(info, ids, lambda one: _retry(info, one))

    @strawberry.mutation(description="Give an open task up; a running handler is stopped.")
    async def cancel_task(self, info: Info, id: ID) -> TaskType:
        return TaskType.of(await _cancel(info, id))

    @strawberry.mutation(description="Give many up; each tells how it went.")
    async def cancel_tasks(self, info: Info, ids: list[ID]) -> list[ChangeOutcome]:
        return await _each(info, ids, lambda one: _cancel(info, one))

    @strawberry.mutation(description="Mark one notification of mine as read.")
    async def read_notification(self, info: Info, id: ID) -> NotificationType:
        desk = info.context.platform.notifications
        found = await desk.read(info.context.actor, NotificationId(number(id, "notification")))
        return NotificationType.of(found)

    @strawberry.mutation(description="Mark my whole inbox as read.")
    async def read_all_notifications(self, info: Info) -> bool:
        await info.context.platform.notifications.read_all(info.context.actor)
        return True

    @strawberry.mutation(description="Send a notification to some users, or to all; how many inboxes. For admins.")
    async def send_notification(self, info: Info, input: MessageInput, idempotency_key: str | None = None) -> int:
        context, message = info.context, input.direct()
        desk = context.platform.notifications

        async def work(reserved: Reserved | None) -> int:
            return await desk.send(context.actor, message, first_id=reserved.first_id if reserved else None)

        return await _once(context, "sendNotification", idempotency_key, message, lambda: desk.reserve(1), work, int)

    @strawberry.mutation(description="Send many notifications, all or none; how many inboxes. For admins.")
    async def send_notifications(
        self, info: Info, inputs: list[MessageInput], idempotency_key: str | None = None
    ) -> int:
        context = info.context
        context.spend("inputs", len(inputs), context.platform.limits.batch_items)
        messages = [one.direct() for one in inputs]
        desk = context.platform.notifications

        async def work(reserved: Reserved | None) -> int:
            return await desk.send_many(context.actor, messages, first_id=reserved.first_id if reserved else None)

        return await _once(
            context, "sendNotifications", idempotency_key, messages, lambda: desk.reserve(len(messages)), work, int
        )

    @strawberry.mutation(description="Set what I want to hear; cells that are absent go back to their defaults.")
    async def set_preferences(self, info: Info, cells: list[PreferenceInput]) -> list[Preference]:
        matrix: dict[str, Any] = {}
        for cell in cells:
            matrix.setdefault(cell.channel, {})[cell.kind] = cell.enabled
        whole = await info.context.platform.notifications.prefer(info.context.actor, matrix)
        return [
            Preference(channel=channel, kind=kind, enabled=enabled)
            for channel, row in whole.items()
            for kind, enabled in row.items()
        ]

    @strawberry.mutation(description="Have my notifications sent to an address; a new webhook's answer has its secret.")
    async def set_webhook(self, info: Info, url: str) -> Webhook:
        return Webhook.of(await info.context.platform.webhooks.put(info.context.actor, url))

    @strawberry.mutation(description="Forget my webhook and its secret.")
    async def remove_webhook(self, info: Info) -> bool:
        await info.context.platform.webhooks.remove(info.context.actor)
        return True

    @strawberry.mutation(description="Call my webhook now, once, and say what came of it.")
    async def test_webhook(self, info: Info) -> WebhookTrial:
        info.context.spend("testWebhook", 1, 1)
        trial = await info.context.platform.webhooks.try_out(info.context.actor)
        return WebhookTrial(delivered=trial.delivered, detail=trial.detail)

    @strawberry.mutation(description="Put a dead letter back onto its topic. For admins.")
    async def replay_letter(self, info: Info, id: ID) -> bool:
        await info.context.platform.letters.replay(info.context.actor, number(id, "dead letter"))
        return True

    @strawberry.mutation(description="Forget a dead letter for good. For admins.")
    async def drop_letter(self, info: Info, id: ID) -> bool:
        await info.context.platform.letters.drop(info.context.actor, number(id, "dead letter"))
        return True


async def _change(info: Info, word: ID, given: TaskInput, version: int | None, *, replace: bool) -> Task:
    return await info.context.platform.tasks.change(
        info.context.actor,
        TaskId(number(word, "task")),
        given.fields(),
        replace=replace,
        versions=_versions(version),
        traceparent=info.context.traceparent,
    )


async def _delete(info: Info, word: ID, version: int | None) -> None:
    await info.context.platform.tasks.delete(
        info.context.actor,
        TaskId(number(word, "task")),
        versions=_versions(version),
        traceparent=info.context.traceparent,
    )


async def _retry(info: Info, word: ID) -> Task:
    return await info.context.platform.tasks.retry(
        info.context.actor, TaskId(number(word, "task")), traceparent=info.context.traceparent
    )


async def _cancel(info: Info, word: ID) -> Task:
    return await info.context.platform.tasks.cancel(
        info.context.actor, TaskId(number(word, "task")), traceparent=info.context.traceparent
    )


async def _each(info: Info, ids: list[ID], change: Callable[[ID], Awaitable[Task | None]]) -> list[ChangeOutcome]:
    info.context.spend("ids", len(ids), MOST_AT_ONCE)
    outcomes = []
    for one in dict.fromkeys(ids):
        try:
            after = await change(one)
        except TasktideError as error:
            outcomes.append(ChangeOutcome(id=one, code=error.code, detail=error.detail))
        else:
            outcomes.append(ChangeOutcome(id=one, task=None if after is None else TaskType.of(after)))
    return outcomes


def _drafts(inputs: list[NewTaskInput]) -> tuple[list[NewTask | None], list[FieldError]]:
    drafts: list[NewTask | None] = []
    faults: list[FieldError] = []
    for index, one in enumerate(inputs):
        try:
            drafts.append(one.draft())
        except Invalid as wrong:
            drafts.append(None)
            faults += [FieldError(f"[{index}].{error.field}", error.message) for error in wrong.errors]
    return drafts, faults


def _versions(version: int | None) -> frozenset[int] | None:
    return None if version is None else frozenset({version})


async def _once(
    context: Context,
    operation: str,
    key: str | None,
    given: Any,
    reserve: Callable[[], Awaitable[int]],
    work: Callable[[Reserved | None], Awaitable[T]],
    kind: type[T],
) -> T:
    """The outcome of a creating mutation; with a key, the same one each time it is asked."""
    if key is None:
        return await work(None)

    async def replied(reserved: Reserved | None) -> Reply:
        return Reply(200, {}, msgspec.json.encode(await work(reserved)))

    route = f"{events.user(context.actor.user_id)} graphql {operation}"
    reply, _ = await context.platform.idempotency.once(route, key, msgspec.json.encode(given), reserve, replied)
    return msgspec.json.decode(reply.body, type=kind)

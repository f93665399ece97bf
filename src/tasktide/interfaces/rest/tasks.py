"""Tasks: submit, read, change."""

from typing import Any

from litestar import delete, get, patch, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from tasktide.domain import events, fields, paging
from tasktide.domain.errors import invalid
from tasktide.domain.fields import NewTask, TaskFields
from tasktide.domain.ids import TaskId
from tasktide.domain.paging import Page, TaskFilter, TaskQuery
from tasktide.domain.replies import Reply, Reserved
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import Timestamp
from tasktide.interfaces import actor as actors
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.rest import operations
from tasktide.interfaces.rest.answers import (
    Answer,
    Incoming,
    Platforms,
    encoded,
    expected_versions,
    once,
    paged,
    path_id,
    problems,
    reply,
    tagged,
    traceparent_of,
)
from tasktide.interfaces.rest.body import Body, PatchBody, decode_many
from tasktide.usecases.tasks import TaskResult

TAGS = ["tasks"]


class Accepted(Struct, frozen=True):
    """How many tasks were accepted, and their ids in the order given."""

    accepted: int
    ids: list[TaskId]


class NotFinished(Struct, frozen=True):
    """The task is still open."""

    task_id: TaskId
    status: Status


class HistoryData(Struct, frozen=True):
    """The version after the event, and what changed: field to [from, to]."""

    version: int
    changes: dict[str, tuple[Any, Any]]


class HistoryEvent(Struct, frozen=True):
    """One event of a task's life, as a CloudEvent."""

    specversion: str
    id: str
    source: str
    type: events.TaskEventType
    subject: str
    time: Timestamp
    actor: str
    data: HistoryData
    traceparent: str | None = None


@post(
    "/tasks",
    status_code=202,
    dto=Body[NewTask],
    return_dto=None,
    tags=TAGS,
    responses={
        202: ResponseSpec(Task, generate_examples=False),
        **problems(400, 401, 403, 408, 409, 413, 415),
    },
)
async def submit(request: Incoming, data: JSONBody[NewTask], platform: Platforms) -> Answer:
    """Submit a task: a `title` and/or a `payload`. With a payload or a handler it is a job for workers."""
    actor = actors.required(request.scope)

    async def work(reserved: Reserved | None) -> Reply:
        traceparent = traceparent_of(request)
        task = await platform.submissions.submit(actor, data, traceparent=traceparent, reserved=reserved)
        return accepted(task)

    return await once(request, platform, events.user(actor.user_id), lambda: platform.submissions.reserve(1), work)


def accepted(task: Task) -> Reply:
    """The answer to a submission."""
    return reply(task, 202, {"location": f"/tasks/{task.id}", "etag": f'"{task.version}"'})


@post(
    "/tasks/batch",
    status_code=202,
    tags=TAGS,
    operation_class=operations.batch_of(NewTask),
    responses={
        202: ResponseSpec(Accepted, generate_examples=False),
        **problems(400, 401, 403, 408, 409, 413, 415),
    },
)
async def submit_batch(request: Incoming, platform: Platforms) -> Answer:
    """Submit many tasks as a JSON array or as lines of JSON; all or nothing."""
    actor = actors.required(request.scope)
    content_type = request.headers.get("content-type")
    many = decode_many(await request.body(), NewTask, content_type, platform.limits.batch_items)

    async def work(reserved: Reserved | None) -> Reply:
        traceparent = traceparent_of(request)
        tasks = await platform.submissions.submit_many(
            actor, many.items, many.errors, traceparent=traceparent, reserved=reserved
        )
        return reply(Accepted(len(tasks), [task.id for task in tasks]), 202)

    return await once(
        request, platform, events.user(actor.user_id), lambda: platform.submissions.reserve(len(many.items)), work
    )


@get("/tasks", tags=TAGS, responses={200: ResponseSpec(Page[Task], generate_examples=False), **problems(401)})
async def find_tasks(
    request: Incoming,
    platform: Platforms,
    performer_id: FromQuery[int | None] = None,
    creator_id: FromQuery[int | None] = None,
    observer_id: FromQuery[int | None] = None,
    status: FromQuery[list[Status] | None] = None,
    handler: FromQuery[str | None] = None,
    job: FromQuery[bool | None] = None,
    label: FromQuery[str | None] = None,
    q: FromQuery[str | None] = None,
    due_before: FromQuery[str | None] = None,
    updated_after: FromQuery[str | None] = None,
    sort: FromQuery[str] = "-created_at",
    limit: FromQuery[int] = paging.DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Answer:
    """Tasks that match all the filters. `sort` is created_at, updated_at, priority or due_at; `-` descends."""
    column = sort.removeprefix("-")
    if column not in paging.SORTS:
        raise invalid("sort", f"must be one of {', '.join(paging.SORTS)}, with - before it to descend")
    wanted = TaskFilter(
        performer_id=_id("performer_id", performer_id),
        creator_id=_id("creator_id", creator_id),
        observer_id=_id("observer_id", observer_id),
        statuses=tuple(status or ()),
        handler=paging.check_text("handler", handler),
        job=job,
        label=paging.check_text("label", label),
        q=paging.check_text("q", q) or None,
        due_before=_time("due_before", due_before),
        updated_after=_time("updated_after", updated_after),
    )
    query = TaskQuery(filter=wanted, sort=column, descending=sort.startswith("-"), limit=paging.check_limit(limit))
    page = await platform.tasks.find(actors.required(request.scope), query.behind(cursor))
    return paged(request, page, page.next_cursor)


@get(
    "/tasks/{task_id:str}",
    tags=TAGS,
    responses={200: ResponseSpec(Task, generate_examples=False), **problems(401, 404)},
)
async def get_task(request: Incoming, task_id: FromPath[str], platform: Platforms) -> Answer:
    """One task."""
    task = await platform.tasks.get(_task_id(task_id))
    return tagged(request, task, task.version)


@put(
    "/tasks/{task_id:str}",
    dto=Body[TaskFields],
    return_dto=None,
    tags=TAGS,
    responses={
        200: ResponseSpec(Task, generate_examples=False),
        **problems(400, 401, 403, 404, 408, 409, 412, 413, 415),
    },
)
async def replace_task(
    request: Incoming, task_id: FromPath[str], data: JSONBody[TaskFields], platform: Platforms
) -> Answer:
    """Set all settable fields; one that is absent goes back to its default."""
    return await _change(request, task_id, data, platform, replace=True)


@patch(
    "/tasks/{task_id:str}",
    dto=PatchBody[TaskFields],
    return_dto=None,
    tags=TAGS,
    responses={
        200: ResponseSpec(Task, generate_examples=False),
        **problems(400, 401, 403, 404, 408, 409, 412, 413, 415),
    },
)
async def change_task(
    request: Incoming, task_id: FromPath[str], data: JSONBody[TaskFields], platform: Platforms
) -> Answer:
    """Set some fields (JSON merge patch); null sets the default. The payload is one value, replaced as a whole."""
    return await _change(request, task_id, data, platform, replace=False)


@delete("/tasks/{task_id:str}", status_code=204, tags=TAGS, responses=problems(401, 403, 404, 409, 412))
async def delete_task(request: Incoming, task_id: FromPath[str], platform: Platforms) -> None:
    """Remove a task. For its creator and admins."""
    await platform.tasks.delete(
        actors.required(request.scope),
        _task_id(task_id),
        versions=expected_versions(request),
        traceparent=traceparent_of(request),
    )


@post(
    "/tasks/{task_id:str}/retry",
    status_code=202,
    tags=TAGS,
    responses={202: ResponseSpec(Task, generate_examples=False), **problems(401, 403, 404, 409)},
)
async def retry_task(request: Incoming, task_id: FromPath[str], platform: Platforms) -> Answer:
    """Begin anew with a failed or cancelled task, its attempts unspent."""
    actor = actors.required(request.scope)
    task = await platform.tasks.retry(actor, _task_id(task_id), traceparent=traceparent_of(request))
    return tagged(request, task, task.version, 202)


@post(
    "/tasks/{task_id:str}/cancel",
    status_code=200,
    tags=TAGS,
    responses={200: ResponseSpec(Task, generate_examples=False), **problems(401, 403, 404, 409)},
)
async def cancel_task(request: Incoming, task_id: FromPath[str], platform: Platforms) -> Answer:
    """Give an open task up; a running handler is stopped."""
    actor = actors.required(request.scope)
    task = await platform.tasks.cancel(actor, _task_id(task_id), traceparent=traceparent_of(request))
    return tagged(request, task, task.version)


@get(
    "/tasks/{task_id:str}/result",
    tags=TAGS,
    responses={
        200: ResponseSpec(TaskResult, generate_examples=False),
        202: ResponseSpec(NotFinished, generate_examples=False, description="Not finished yet."),
        **problems(401, 404, 409),
    },
)
async def get_result(task_id: FromPath[str], platform: Platforms, wait: FromQuery[float] = 0.0) -> Answer:
    """What a job returned, waiting for it up to `wait` seconds (0 to 30)."""
    number = _task_id(task_id)
    result = await platform.tasks.result(number, wait)
    if result is None:
        task = await platform.tasks.get(number)
        return encoded(NotFinished(number, task.status), 202)
    return encoded(result)


@get(
    "/tasks/{task_id:str}/history",
    tags=TAGS,
    responses={200: ResponseSpec(Page[HistoryEvent], generate_examples=False), **problems(401, 404)},
)
async def get_history(
    request: Incoming,
    task_id: FromPath[str],
    platform: Platforms,
    limit: FromQuery[int] = paging.DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Answer:
    """What happened to a task, oldest first."""
    page = await platform.tasks.history(_task_id(task_id), cursor, paging.check_limit(limit))
    return paged(request, page, page.next_cursor)


async def _change(request: Incoming, task_id: str, data: TaskFields, platform: Platform, *, replace: bool) -> Answer:
    task = await platform.tasks.change(
        actors.required(request.scope),
        _task_id(task_id),
        data,
        replace=replace,
        versions=expected_versions(request),
        traceparent=traceparent_of(request),
    )
    return tagged(request, task, task.version)


def _task_id(text: str) -> TaskId:
    return TaskId(path_id(text, "task"))


def _id(field: str, number: int | None) -> int | None:
    if number is not None and abs(number) >= 2**63:
        raise invalid(field, "is too large")
    return number


def _time(field: str, text: str | None) -> Timestamp | None:
    return None if text is None else fields.time(field, text)


ROUTES = [
    submit,
    submit_batch,
    find_tasks,
    get_task,
    replace_task,
    change_task,
    delete_task,
    retry_task,
    cancel_task,
    get_result,
    get_history,
]

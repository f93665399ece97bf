"""The inbox, direct notifications and preferences."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from tasktide.domain import events, paging
from tasktide.domain.errors import invalid
from tasktide.domain.ids import MAX_ID, NotificationId
from tasktide.domain.notifications import Notification, Preferences
from tasktide.domain.replies import Reply, Reserved
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
)
from tasktide.interfaces.rest.body import Body, decode_many
from tasktide.usecases.notifications import DirectMessage, InboxPage, preferences_version

TAGS = ["notifications"]


class Sent(Struct, frozen=True):
    """How many inboxes the notifications go to."""

    accepted: int


@get(
    "/notifications",
    tags=TAGS,
    responses={200: ResponseSpec(InboxPage, generate_examples=False), **problems(401)},
)
async def find_notifications(
    request: Incoming,
    platform: Platforms,
    unread: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
    after: FromQuery[int | None] = None,
    limit: FromQuery[int] = paging.DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Answer:
    """My inbox, newest first; with `after`, what came after that id, oldest first."""
    actor = actors.required(request.scope)
    size = paging.check_limit(limit)
    if after is None:
        page = await platform.notifications.newest(actor, unread=unread, cursor=cursor, limit=size)
        return paged(request, page, page.next_cursor)
    if not 0 <= after <= MAX_ID:
        raise invalid("after", "must be a notification id, or 0")
    number = NotificationId(after)
    page = await platform.notifications.after(actor, number, unread=unread, cursor=cursor, limit=size)
    return paged(request, page, page.next_cursor)


@post(
    "/notifications",
    status_code=202,
    dto=Body[DirectMessage],
    return_dto=None,
    tags=TAGS,
    responses={
        202: ResponseSpec(Sent, generate_examples=False),
        **problems(400, 401, 403, 408, 409, 413, 415),
    },
)
async def send(request: Incoming, data: JSONBody[DirectMessage], platform: Platforms) -> Answer:
    """Send a notification to some users, or to all. For admins."""
    actor = actors.required(request.scope)
    return await _once(request, platform, 1, lambda first: platform.notifications.send(actor, data, first_id=first))


@post(
    "/notifications/batch",
    status_code=202,
    tags=TAGS,
    operation_class=operations.batch_of(DirectMessage),
    responses={
        202: ResponseSpec(Sent, generate_examples=False),
        **problems(400, 401, 403, 408, 409, 413, 415),
    },
)
async def send_batch(request: Incoming, platform: Platforms) -> Answer:
    """Send many notifications as a JSON array or as lines of JSON; all or nothing. For admins."""
    content_type = request.headers.get("content-type")
    many = decode_many(await request.body(), DirectMessage, content_type, platform.limits.batch_items)
    actor = actors.required(request.scope)

    async def send_all(first_id: int | None) -> int:
        return await platform.notifications.send_many(actor, many.items, many.errors, first_id=first_id)

    return await _once(request, platform, len(many.items), send_all)


@post(
    "/notifications/{notification_id:str}/read",
    status_code=200,
    tags=TAGS,
    responses={200: ResponseSpec(Notification, generate_examples=False), **problems(401, 404)},
)
async def read(request: Incoming, notification_id: FromPath[str], platform: Platforms) -> Answer:
    """Mark one notification of mine as read."""
    number = NotificationId(path_id(notification_id, "notification"))
    return encoded(await platform.notifications.read(actors.required(request.scope), number))


@post("/notifications/read-all", status_code=204, tags=TAGS, responses=problems(401))
async def read_all(request: Incoming, platform: Platforms) -> None:
    """Mark my whole inbox as read."""
    await platform.notifications.read_all(actors.required(request.scope))


@get(
    "/notifications/preferences",
    tags=TAGS,
    responses={200: ResponseSpec(Preferences, generate_examples=False), **problems(401)},
)
async def get_preferences(request: Incoming, platform: Platforms) -> Answer:
    """What I want to hear over which channel."""
    matrix = await platform.notifications.preferences(actors.required(request.scope))
    return tagged(request, matrix, preferences_version(matrix))


@put(
    "/notifications/preferences",
    dto=Body[dict[str, Any]],
    return_dto=None,
    tags=TAGS,
    responses={200: ResponseSpec(Preferences, generate_examples=False), **problems(400, 401, 408, 412, 413, 415)},
)
async def put_preferences(request: Incoming, data: JSONBody[dict[str, Any]], platform: Platforms) -> Answer:
    """Set my matrix of channels and kinds; what is absent goes back to its default."""
    actor = actors.required(request.scope)
    matrix = await platform.notifications.prefer(actor, data, expected_versions(request))
    return tagged(request, matrix, preferences_version(matrix))


async def _once(
    request: Incoming, platform: Platform, count: int, send: Callable[[int | None], Awaitable[int]]
) -> Answer:
    async def work(reserved: Reserved | None) -> Reply:
        return reply(Sent(await send(reserved.first_id if reserved else None)), 202)

    scope = events.user(actors.required(request.scope).user_id)
    return await once(request, platform, scope, lambda: platform.notifications.reserve(count), work)


ROUTES = [
    find_notifications,
    send,
    send_batch,
    read,
    read_all,
    get_preferences,
    put_preferences,
]

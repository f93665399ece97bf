"""Everybody's accounts."""

from litestar import get, patch
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from tasktide.domain import paging
from tasktide.domain.ids import UserId
from tasktide.domain.paging import Page
from tasktide.domain.users import Role, User
from tasktide.interfaces import actor as actors
from tasktide.interfaces.rest.answers import (
    Answer,
    Incoming,
    Platforms,
    expected_versions,
    paged,
    path_id,
    problems,
    tagged,
)
from tasktide.interfaces.rest.body import PatchBody

TAGS = ["users"]


class RoleChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The new role."""

    role: Role


@get("/users", tags=TAGS, responses={200: ResponseSpec(Page[User], generate_examples=False), **problems(401)})
async def find_users(
    request: Incoming,
    platform: Platforms,
    limit: FromQuery[int] = paging.DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Answer:
    """All users, by id."""
    page = await platform.users.find(cursor, paging.check_limit(limit))
    return paged(request, page, page.next_cursor)


@get(
    "/users/{user_id:str}",
    tags=TAGS,
    responses={200: ResponseSpec(User, generate_examples=False), **problems(401, 404)},
)
async def get_user(request: Incoming, user_id: FromPath[str], platform: Platforms) -> Answer:
    """One user."""
    account = await platform.users.get(UserId(path_id(user_id, "user")))
    return tagged(request, account.user, account.version)


@patch(
    "/users/{user_id:str}",
    dto=PatchBody[RoleChange],
    return_dto=None,
    tags=TAGS,
    responses={
        200: ResponseSpec(User, generate_examples=False),
        **problems(400, 401, 403, 404, 408, 412, 413, 415),
    },
)
async def change_role(
    request: Incoming, user_id: FromPath[str], data: JSONBody[RoleChange], platform: Platforms
) -> Answer:
    """Make somebody an admin or a member. For admins."""
    account = await platform.users.change_role(
        actors.required(request.scope),
        UserId(path_id(user_id, "user")),
        data.role,
        versions=expected_versions(request),
    )
    return tagged(request, account.user, account.version)


ROUTES = [find_users, get_user, change_role]

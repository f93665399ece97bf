"""Signing up, in and out, and one's own account."""

from litestar import get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import UNSET, Struct, UnsetType

from tasktide.domain.errors import invalid
from tasktide.domain.replies import Reply, Reserved
from tasktide.domain.users import User
from tasktide.interfaces import actor as actors
from tasktide.interfaces.rest.answers import (
    Answer,
    Incoming,
    Platforms,
    encoded,
    expected_versions,
    once,
    problems,
    reply,
    tagged,
)
from tasktide.interfaces.rest.body import Body, PatchBody
from tasktide.usecases.users import Signed

TAGS = ["auth"]


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """A new account: a password of 8 to 128 characters."""

    email: str
    name: str
    password: str


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    """What a sign-in takes."""

    email: str
    password: str


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """What one may change of oneself; a new password needs the current one."""

    name: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    current_password: str | UnsetType = UNSET


@post(
    "/auth/register",
    status_code=201,
    dto=Body[Registration],
    return_dto=None,
    opt={"public": True},
    tags=TAGS,
    responses={201: ResponseSpec(User, generate_examples=False), **problems(400, 403, 408, 409, 413, 415)},
)
async def register(request: Incoming, data: JSONBody[Registration], platform: Platforms) -> Answer:
    """Make an account. The first one is admin, later ones are members; where registration is off, admins make them."""
    await platform.users.check_registration(actors.found(request.scope))

    async def work(reserved: Reserved | None) -> Reply:
        user_id = reserved.first_id if reserved else None
        user = await platform.users.register(data.email, data.name, data.password, user_id=user_id)
        return reply(user, 201, {"location": f"/users/{user.id}", "etag": '"1"'})

    return await once(request, platform, f"email:{data.email.strip().lower()}", platform.users.reserve, work)


@post(
    "/auth/login",
    status_code=200,
    dto=Body[Credentials],
    return_dto=None,
    opt={"public": True},
    tags=TAGS,
    responses={200: ResponseSpec(Signed, generate_examples=False), **problems(400, 401, 408, 413, 415)},
)
async def login(data: JSONBody[Credentials], platform: Platforms) -> Answer:
    """Sign in. The token goes into the header `Authorization: Bearer <token>`."""
    return encoded(await platform.users.login(data.email, data.password), headers={"cache-control": "no-store"})


@post("/auth/logout", status_code=204, tags=TAGS, responses=problems(401))
async def logout(request: Incoming, platform: Platforms) -> None:
    """Sign out: this token is dead at once, and its live streams end."""
    await platform.users.logout(actors.required(request.scope))


@get(
    "/auth/me",
    tags=TAGS,
    responses={200: ResponseSpec(User, generate_examples=False), **problems(401)},
)
async def me(request: Incoming, platform: Platforms) -> Answer:
    """Who I am."""
    account = await platform.users.me(actors.required(request.scope))
    return tagged(request, account.user, account.version)


@patch(
    "/auth/me",
    dto=PatchBody[Profile],
    return_dto=None,
    tags=TAGS,
    responses={200: ResponseSpec(User, generate_examples=False), **problems(400, 401, 408, 412, 413, 415)},
)
async def change_me(request: Incoming, data: JSONBody[Profile], platform: Platforms) -> Answer:
    """Change my name or password. A new password ends all my other sessions."""
    if data.current_password is not UNSET and data.password is UNSET:
        raise invalid("password", "is required with current_password")
    account = await platform.users.change_me(
        actors.required(request.scope),
        name=None if data.name is UNSET else data.name,
        password=None if data.password is UNSET else data.password,
        current_password=None if data.current_password is UNSET else data.current_password,
        versions=expected_versions(request),
    )
    return tagged(request, account.user, account.version)


ROUTES = [register, login, logout, me, change_me]

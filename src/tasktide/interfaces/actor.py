"""From an Authorization header to the actor of a request."""

from collections.abc import Mapping
from typing import Any

from tasktide.domain.errors import Unauthenticated
from tasktide.domain.users import Actor
from tasktide.usecases.users import Users

# Our tokens are near 250 characters; longer ones are not worth hashing.
TOKEN_LENGTH = 4_096
BEARER = "Bearer "


def recalled(users: Users, authorization: str) -> Actor | None:
    """The actor behind the header, if it was verified before and still holds."""
    return users.recalled(authorization[len(BEARER) :]) if authorization.startswith(BEARER) else None


async def resolve(users: Users, authorization: str) -> Actor:
    """The actor behind the header; Unauthenticated when it does not hold."""
    actor = recalled(users, authorization)
    if actor is not None:
        return actor
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header is not of the form: Bearer <token>.", code="invalid_token")
    return await resolve_token(users, token.strip())


async def resolve_token(users: Users, token: str) -> Actor:
    """The actor behind a token; Unauthenticated when it does not hold."""
    if len(token) > TOKEN_LENGTH:
        raise Unauthenticated("The token is not valid.", code="invalid_token")
    return await users.authenticate(token)


def found(scope: Mapping[str, Any]) -> Actor | None:
    """The actor whom the gate found, if it did."""
    actor = scope.get("actor")
    return actor if isinstance(actor, Actor) else None


def required(scope: Mapping[str, Any]) -> Actor:
    """The actor whom the gate found; Unauthenticated when there is none."""
    actor = found(scope)
    if actor is not None:
        return actor
    failure = scope.get("actor_failure")
    if isinstance(failure, Unauthenticated):
        raise failure
    raise Unauthenticated("Sign in first: send the header Authorization: Bearer <token>.", code="token_missing")

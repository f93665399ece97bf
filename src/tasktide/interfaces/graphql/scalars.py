"""Times, ids, JSON and enumerations as GraphQL carries them."""

from typing import Any, NewType

import msgspec
import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped
from msgspec import Raw
from strawberry.types.scalar import ScalarDefinition

from tasktide.domain import ids
from tasktide.domain.errors import NotFound, invalid
from tasktide.domain.ids import NotificationId
from tasktide.domain.notifications import Channel, Kind
from tasktide.domain.numbers import is_finite
from tasktide.domain.tasks import Status
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Role

Json = NewType("Json", object)


# Before any type that uses them is made.
strawberry.enum(Role, name="Role", description="What a user may do beyond their own things.")
strawberry.enum(Status, name="TaskStatus", description="Where a task stands.")
strawberry.enum(Kind, name="NotificationKind", description="Why somebody is told.")
strawberry.enum(Channel, name="Channel", description="How somebody is told.")


def _json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    found = value_from_ast_untyped(node, variables)
    if not is_finite(found):
        raise GraphQLError("A number is out of range.", node)
    return found


SCALARS: dict[object, ScalarDefinition] = {
    Timestamp: strawberry.scalar(
        name="DateTime",
        description="A moment as RFC 3339 text; answers are in UTC with milliseconds.",
        serialize=str,
        parse_value=str,
    ),
    Json: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
        parse_literal=_json_literal,
    ),
}


def shown(raw: Raw) -> Json:
    """Stored JSON as a value."""
    return Json(msgspec.json.decode(raw))


def number(word: strawberry.ID, noun: str) -> int:
    """The id that a word spells; NotFound when no such id can exist."""
    found = ids.parse(str(word))
    if found is None:
        raise NotFound(f"There is no {noun} {str(word)[:40]}.")
    return found


def reference(field: str, word: strawberry.ID) -> int:
    """The id in a field of an input; Invalid when no such id can exist."""
    found = ids.parse(str(word))
    if found is None:
        raise invalid(field, "must be an id")
    return found


def position(field: str, word: strawberry.ID) -> NotificationId:
    """The cursor of an inbox: a notification's id, or 0 for its beginning; Invalid otherwise."""
    found = 0 if str(word) == "0" else ids.parse(str(word))
    if found is None:
        raise invalid(field, "must be a notification id, or 0")
    return NotificationId(found)

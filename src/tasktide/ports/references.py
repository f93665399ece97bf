"""What the fields of a task may refer to: users and handlers that there are."""

from collections.abc import Iterable, Mapping
from typing import Any

from tasktide.domain import fields
from tasktide.domain.errors import FieldError
from tasktide.domain.ids import UserId
from tasktide.ports.users import UserStore


class References:
    """Looks users up once: accounts are never removed."""

    def __init__(self, users: UserStore, handlers: frozenset[str]) -> None:
        self._users = users
        self._handlers = handlers
        self._known_users: set[int] = set()

    def are_known(self, values: Mapping[str, Any]) -> bool:
        """Whether all that these values refer to is known to exist, without asking anybody."""
        handler = values.get("handler")
        if handler is not None and handler not in self._handlers:
            return False
        return all(user_id in self._known_users for _, user_id in fields.users_named(values))

    async def check(self, some: Iterable[tuple[int | None, Mapping[str, Any]]]) -> list[FieldError]:
        """Every reference to a user or handler that does not exist; with an index, of that item of a batch."""
        doubtful: list[tuple[str, UserId]] = []
        errors: list[FieldError] = []
        for index, values in some:
            for field, user_id in fields.users_named(values):
                if user_id not in self._known_users:
                    doubtful.append((_path(index, field), user_id))
            handler = values.get("handler")
            if handler is not None and handler not in self._handlers:
                errors.append(FieldError(_path(index, "handler"), f"there is none of this name: {handler}"))
        if doubtful:
            self._known_users |= (await self._users.get({user_id for _, user_id in doubtful})).keys()
        errors += [
            FieldError(field, f"there is no user {user_id}")
            for field, user_id in doubtful
            if user_id not in self._known_users
        ]
        return errors


def _path(index: int | None, field: str) -> str:
    return field if index is None else f"[{index}].{field}"

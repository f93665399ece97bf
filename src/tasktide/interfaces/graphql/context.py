"""What the resolvers of one operation share."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import strawberry
from strawberry.dataloader import DataLoader

from tasktide.domain.errors import invalid
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.tasks import Task
from tasktide.domain.users import Actor, User
from tasktide.interfaces import actor as actors
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import Scope
from tasktide.usecases.admission import refusal

K = TypeVar("K")
V = TypeVar("V")


@dataclass(kw_only=True)
class Context:
    """The caller, the use cases, and what was looked up already."""

    platform: Platform
    scope: Scope
    response: Any
    # Of a socket: what its first message carried.
    connection_params: Any = None
    _items: int = field(init=False, default=0)
    _has_signed_in: bool = field(init=False, default=False)
    users: DataLoader[UserId, User | None] = field(init=False)
    tasks: DataLoader[TaskId, Task | None] = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A new operation: nothing looked up, nothing made."""
        self._items = 0
        self.forget()

    def spend(self, field: str, items: int, most: int) -> None:
        """Count what an operation makes or changes, over all of its fields; Invalid when it is none or too many."""
        self._items += items
        if not items or self._items > most:
            raise invalid(field, f"must be 1 to {most} items, of one operation together")

    def forget(self) -> None:
        """Look everything up anew: after a change, or for the next event of a subscription."""
        self.users = DataLoader(_each(self.platform.users.get_many), cache=True)
        self.tasks = DataLoader(_each(self.platform.tasks.get_many), cache=True)

    @property
    def actor(self) -> Actor:
        """Who asks; Unauthenticated when nobody is signed in."""
        return actors.required(self.scope)

    async def recheck(self) -> None:
        """Find out anew who is behind the token of a socket: the session may be over, the role another one."""
        self.scope["actor"] = await actors.resolve_token(self.platform.users, self.scope["token"])

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the request."""
        found = self.scope.get("traceparent")
        return found if isinstance(found, str) else None

    @property
    def is_socket(self) -> bool:
        """Whether the operation came over a WebSocket."""
        return bool(self.scope["type"] == "websocket")

    async def admit_sign_in(self) -> None:
        """Count a sign-in by its address, whoever else one is signed in as: guessing passwords must stay slow."""
        is_counted = not self.is_socket and not isinstance(self.scope.get("actor"), Actor) and not self._has_signed_in
        self._has_signed_in = True
        if not is_counted:  # by the gate, as any request without a token
            await self.admit(None)

    async def admit(self, actor: Actor | None) -> None:
        """Count one more request, of the actor or of the address it comes from; Limited when there are too many."""
        admission = self.platform.admission
        if admission.enabled:
            client = self.scope.get("client")
            verdict = await admission.admit(actor, client[0] if client else "unknown")
            if not verdict.allowed:
                raise refusal(verdict)


Info = strawberry.Info[Context, None]


def _each(many: Callable[[Sequence[K]], Awaitable[dict[K, V]]]) -> Callable[[list[K]], Awaitable[list[V | None]]]:
    async def load(keys: list[K]) -> list[V | None]:
        found = await many(keys)
        return [found.get(key) for key in keys]

    return load

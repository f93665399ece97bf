"""Handlers: the functions that run jobs. `@handler("name")` marks one; nothing is registered on import."""

import inspect
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from tasktide.domain.ids import TaskId

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_TIMEOUT_S = 60.0
DEFAULT_CONCURRENCY = 256
NAME_LENGTH = 100
_MARK = "__tasktide_handler__"


class Handler(Struct, frozen=True, kw_only=True):
    """A named function: `timeout_s` per attempt, at most `concurrency` attempts at once in one worker."""

    name: str
    run: Callable[..., Any]
    timeout_s: float = DEFAULT_TIMEOUT_S
    concurrency: int = DEFAULT_CONCURRENCY

    @property
    def is_async(self) -> bool:
        """Whether it runs on the event loop; plain functions get a thread."""
        return inspect.iscoroutinefunction(self.run)

    @property
    def is_shipped(self) -> bool:
        """Whether it comes with Tasktide."""
        return str(getattr(self.run, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


class Demand(NamedTuple):
    """How many of a handler's attempts may run at once, and whether each takes a thread."""

    concurrency: int
    in_thread: bool


class Context:
    """What a handler may know of its task. `cancelled` is set when the attempt timed out or was cancelled."""

    __slots__ = ("attempt", "cancelled", "max_attempts", "task_id")

    def __init__(self, task_id: TaskId, attempt: int, max_attempts: int) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.cancelled = threading.Event()


def handler(
    name: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, concurrency: int = DEFAULT_CONCURRENCY
) -> Callable[[F], F]:
    """Mark `async def f(payload, context)` or `def f(payload, context)` as the handler of a name."""
    if not 1 <= len(name) <= NAME_LENGTH:
        raise ValueError(f"the name of a handler must be 1 to {NAME_LENGTH} characters")
    if timeout_s <= 0 or concurrency < 1:
        raise ValueError("timeout_s must be above 0 and concurrency at least 1")

    def mark(function: F) -> F:
        is_lazy = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        if is_lazy or inspect.isclass(function):
            raise ValueError(f"the handler {name!r} must be a function that returns its result")
        made = Handler(name=name, run=function, timeout_s=timeout_s, concurrency=concurrency)
        setattr(function, _MARK, made)
        return function

    return mark


def as_text(value: Any) -> str:
    """A JSON value as compact text."""
    return msgspec.json.encode(value).decode()


def collect(namespaces: Iterable[object]) -> dict[str, Handler]:
    """All marked functions of modules (or other namespaces), by name; ValueError when two share a name."""
    found: dict[str, Handler] = {}
    for namespace in namespaces:
        for value in vars(namespace).values():
            made = getattr(value, _MARK, None)
            if not isinstance(made, Handler):
                continue
            if found.setdefault(made.name, made).run is not made.run:
                raise ValueError(f"two handlers are named {made.name!r} (reverse, sleep and fail are there already)")
    return found

"""Threads for functions that block."""

from collections.abc import Callable
from typing import Any, Protocol


class OutOfTime(TimeoutError):
    """The function ran longer than it was given; it may still be running."""


class Threads(Protocol):
    """Runs blocking functions beside the event loop, at most `size` at once; others wait for their turn."""

    @property
    def size(self) -> int:
        """How many may run at once."""
        ...

    async def run(self, function: Callable[..., Any], payload: Any, context: Any, timeout_s: float) -> Any:
        """What `function(payload, context)` returns or raises.

        OutOfTime when it runs longer than `timeout_s` seconds, waiting for its turn not counted. A function
        that runs on is left behind: its thread is replaced, and does not keep the process from ending.
        """
        ...

"""Identifiers of new things."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from tasktide.domain.ids import Blocks


class Ids(Protocol):
    """Hands out increasing integers per name ("tasks", "users", ...), starting at 1.

    No number is handed out twice, whatever is killed and whichever process asks. Numbers may be skipped.
    Within one process a later call gets higher numbers.
    """

    async def take(self, name: str, count: int = 1) -> range:
        """The next `count` numbers. Unavailable when the lease cannot be renewed."""
        ...

    def has(self, name: str) -> bool:
        """Whether a number is at hand: `take` would not have to wait for one."""
        ...

    def take_now(self, name: str) -> int:
        """The next number, when it `has` one."""
        ...


class Leased:
    """`Ids` from blocks of `size` numbers or more, which `lease` makes durable: one write for many numbers."""

    def __init__(self, lease: Callable[[str, int], Awaitable[range]], size: int) -> None:
        self._lease = lease
        self._size = size
        self._blocks = Blocks()
        self._lock = asyncio.Lock()

    def has(self, name: str) -> bool:
        """See `Ids`."""
        return self._blocks.has(name)

    def take_now(self, name: str) -> int:
        """See `Ids`."""
        taken = self._blocks.cut(name, 1)
        if taken is None:
            raise LookupError(name)
        return taken[0]

    async def take(self, name: str, count: int = 1) -> range:
        """See `Ids`."""
        taken = self._blocks.cut(name, count)
        if taken is not None:
            return taken
        async with self._lock:
            taken = self._blocks.cut(name, count)
            while taken is None:
                self._blocks.add(name, await self._lease(name, max(self._size, count)))
                taken = self._blocks.cut(name, count)
            return taken

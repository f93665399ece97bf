"""Identifiers of new things."""

import asyncio
import contextlib
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
    """`Ids` from blocks of `size` numbers or more, which `lease` makes durable: one write for many numbers.

    The next block is leased before the last one is used up, so that nobody waits for it.
    """

    def __init__(self, lease: Callable[[str, int], Awaitable[range]], size: int) -> None:
        self._lease = lease
        self._size = size
        self._few = size // 4
        self._blocks = Blocks()
        self._lock = asyncio.Lock()
        self._renewing: dict[str, asyncio.Task[None]] = {}

    def has(self, name: str) -> bool:
        """See `Ids`."""
        return self._blocks.has(name)

    def take_now(self, name: str) -> int:
        """See `Ids`."""
        taken = self._blocks.cut(name, 1)
        if taken is None:
            raise LookupError(name)
        self._look_ahead(name)
        return taken[0]

    async def take(self, name: str, count: int = 1) -> range:
        """See `Ids`."""
        taken = self._blocks.cut(name, count)
        if taken is None:
            async with self._lock:
                taken = self._blocks.cut(name, count)
                while taken is None:
                    self._blocks.add(name, await self._lease(name, max(self._size, count)))
                    taken = self._blocks.cut(name, count)
        if count < self._size:  # who takes whole blocks would leave the next one lying until its numbers are old
            self._look_ahead(name)
        return taken

    def _look_ahead(self, name: str) -> None:
        if not self._blocks.is_low(name, self._few):
            return
        renewing = self._renewing.get(name)
        if renewing is None or renewing.done():
            self._renewing[name] = asyncio.create_task(self._renew(name), name="ids")

    async def _renew(self, name: str) -> None:
        # Whatever is wrong, who needs the block meets it too, and says so.
        with contextlib.suppress(Exception):
            async with self._lock:
                if self._blocks.is_low(name, self._few):
                    self._blocks.add(name, await self._lease(name, self._size))

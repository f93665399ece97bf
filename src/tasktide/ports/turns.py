"""Fair shares of what many want at once."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from typing import Generic, TypeVar

from tasktide.domain.errors import Unavailable

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Lets each key do so many things at once; what it wants beyond waits, in order, and beyond that is refused."""

    def __init__(self, most: int, waiting: int) -> None:
        self._most = most
        self._limit = most + waiting
        self._wanted: Counter[K] = Counter()
        self._places: dict[K, asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def of(self, key: K) -> AsyncIterator[None]:
        """Around a thing that a key does; Unavailable when too many of its own wait already."""
        if self._wanted[key] >= self._limit:
            raise Unavailable("store", "Too many of your own searches are waiting; try again in a moment.")
        self._wanted[key] += 1
        try:
            async with self._places.setdefault(key, asyncio.Semaphore(self._most)):
                yield
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key], self._places[key]

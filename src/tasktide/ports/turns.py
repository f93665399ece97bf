"""Fair shares of what many want at once."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from typing import Generic, TypeVar

from tasktide.domain.errors import Unavailable

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Lets each key do so many things at once; what it wants beyond waits, in order, for so long.

    What waits longer, and what would be more than may wait, is refused.
    """

    def __init__(self, most: int, waiting: int, patience_s: float) -> None:
        self._most = most
        self._patience_s = patience_s
        self._limit = most + waiting
        self._wanted: Counter[K] = Counter()
        self._places: dict[K, asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def of(self, key: K) -> AsyncIterator[None]:
        """Around a thing that a key does; Unavailable when its own others keep it waiting."""
        if self._wanted[key] >= self._limit:
            raise _busy()
        self._wanted[key] += 1
        try:
            place = self._places.setdefault(key, asyncio.Semaphore(self._most))
            try:
                async with asyncio.timeout(self._patience_s):
                    await place.acquire()
            except TimeoutError:
                raise _busy() from None
            try:
                yield
            finally:
                place.release()
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key], self._places[key]


def _busy() -> Unavailable:
    return Unavailable("store", "Too many of your own searches are waiting; try again in a moment.")

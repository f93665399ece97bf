"""Where sockets are until they have signed in."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator


class Anteroom:
    """Holds so many sockets at most. Overflow policy: the oldest goes, as if its time to sign in were over.

    Whoever means to sign in does so within a moment; those who have been here longest are the least likely to.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # In the order in which they came.
        self._limits: dict[asyncio.Timeout, None] = {}

    @contextlib.contextmanager
    def enter(self, limit: asyncio.Timeout) -> Iterator[Callable[[], None]]:
        """Inside of the time limit of a socket: until the end, or until what it gives is called, it waits here."""

        def leave() -> None:
            self._limits.pop(limit, None)

        while len(self._limits) >= self._most:
            oldest = next(iter(self._limits))
            del self._limits[oldest]
            if not oldest.expired():
                oldest.reschedule(asyncio.get_running_loop().time())
        self._limits[limit] = None
        try:
            yield leave
        finally:
            leave()

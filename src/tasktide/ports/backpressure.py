"""Slows down who appends to the log while those who read it are behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tasktide.domain.errors import Unavailable
from tasktide.ports.log import Log

# From this part of the limit on for each lane of a group, and not below so many records, who appends is held back; for
# so many looks, so far apart, at most.
HELD_FROM, LEAST_HELD = 0.05, 100
LOOKS, LOOK_S = 50, 0.02

# A topic, and the group that reads it.
Way = tuple[str, str]


class Backpressure:
    """Holds back who appends while a group on the way of the records is behind, and refuses them at the limit.

    Held back for a second at most, they wait in front of the log instead of their records behind it: all is as fast,
    and what was accepted is handled soon. `ways` are where the records go, first the topic that is appended to: its
    group alone may be behind by `limit` at most. For a group that commits nothing nobody waits.
    """

    def __init__(self, log: Log, limit: int, *ways: Way) -> None:
        self._log = log
        self._limit = limit
        self._ways = ways
        self._held_from = {way: min(limit, max(LEAST_HELD, limit * HELD_FROM * log.lanes(way[0]))) for way in ways}
        # Records of those who were let in and are not through: the log does not know of them, or never will.
        self._entering = 0
        # What a group had committed when it was found to stand still.
        self._still_at: dict[Way, int] = {}
        self._watch: asyncio.Task[None] | None = None

    def is_open(self) -> bool:
        """Whether `enter` would begin at once, as far as that is known without asking anybody."""
        for way in self._ways:
            behind = self._log.backlog_now(*way)
            if behind is None or self._with_entering(way, behind) > self._held_from[way]:
                return False
        return True

    def entered(self, records: int) -> None:
        """Count what is being appended without `enter`, until it has `left`."""
        self._entering += records

    def left(self, records: int) -> None:
        """Those records are on the log, or will not be."""
        self._entering -= records

    @contextlib.asynccontextmanager
    async def enter(self, records: int) -> AsyncIterator[None]:
        """Around an append: begins when there is room for more; Unavailable when there is none."""
        if await self._is_held():
            if self._watch is None:
                self._watch = asyncio.create_task(self._until_relieved(), name="backpressure")
            await asyncio.wait([self._watch])
        topic, group = self._ways[0]
        if self._with_entering(self._ways[0], await self._log.backlog(topic, group)) > self._limit:
            raise Unavailable(group, f"{topic} grows faster than {group} can follow; try again in a moment.")
        self.entered(records)
        try:
            yield
        finally:
            self.left(records)

    async def _until_relieved(self) -> None:
        """One watch for all who wait."""
        try:
            began_at = [await self._log.committed(*way) for way in self._ways]
            for _ in range(LOOKS):
                await asyncio.sleep(LOOK_S)
                if not await self._is_held():
                    return
            for way, began in zip(self._ways, began_at, strict=True):
                # Not by those who are entering: they say nothing of the group.
                is_behind = await self._log.backlog(*way) > self._held_from[way]
                if is_behind and await self._log.committed(*way) == began:
                    self._still_at[way] = began
        except Unavailable:
            return  # who waits will be told so
        finally:
            self._watch = None

    async def _is_held(self) -> bool:
        for way in self._ways:
            if await self._is_far_behind(way) and not await self._stands_still(way):
                return True
        return False

    async def _is_far_behind(self, way: Way) -> bool:
        return await self._behind(way) > self._held_from[way]

    async def _behind(self, way: Way) -> int:
        about = self._log.backlog_now(*way)
        return self._with_entering(way, await self._log.backlog(*way) if about is None else about)

    def _with_entering(self, way: Way, behind: int) -> int:
        return behind + self._entering if way == self._ways[0] else behind

    async def _stands_still(self, way: Way) -> bool:
        return way in self._still_at and self._still_at[way] == await self._log.committed(*way)

"""Tasks that change shards, because their performer did: put down there first, removed here, then made valid there.

A change of performer marks its task as leaving, in the transaction of the change: from then on the move may be broken
off anywhere and is taken up again by whoever sweeps next. Until the task is removed here, it is valid here.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.shards import Shards
from tasktide.domain.errors import Unavailable
from tasktide.ports.clock import Clock

SQL = resources.statements(__package__, "tasks")
BATCH = 500
# Moves at once: each holds a connection to two shards.
AT_ONCE = 4
LEAVING = 1
# How long a move waits until what was said of its task is on the log, and how often it looks.
SAID_WITHIN_S, LOOK_S = 2.0, 0.02


class Moves:
    """Carries tasks to the shards where they belong."""

    def __init__(self, shards: Shards, clock: Clock) -> None:
        self._shards = shards
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._logger = structlog.get_logger("moves")

    def begin(self, source: int, task_id: int) -> None:
        """Move one in the background; what comes to nothing is left to the next sweep."""
        moving = asyncio.create_task(self._try(source, task_id))
        self._under_way.add(moving)
        moving.add_done_callback(self._under_way.discard)

    async def sweep(self) -> int:
        """Finish the moves that were broken off; how many."""
        finished = 0
        for index, database in enumerate(self._shards.databases):
            for (task_id,) in await database.fetch(SQL["leaving"], BATCH):
                await self.move(index, task_id)
                finished += 1
        for database in self._shards.databases:
            for (task_id,) in await database.fetch(SQL["arriving"], BATCH):
                finished += await self._settle(database, task_id)
        return finished

    async def _settle(self, here: Database, task_id: int) -> int:
        """Decide on a task that was put down here by a move that was broken off; 1 when there was something to do."""
        async with here.transaction() as deciding:
            # Held to the end: a move that puts it down anew waits, and finds what was decided.
            if not await deciding.fetch(SQL["stray"], task_id):
                return 0
            others = [other for other in self._shards.databases if other is not here]
            # One that moved between our questions was not there yet in one place, and gone from the other.
            rows = await _held(others, task_id) or await _held(others, task_id)
            if any(row["moving"] == LEAVING for row in rows):
                return 0  # it is on its way, and valid there
            is_deleted = any([await other.value(SQL["is_buried"], task_id) for other in others])
            # It stays there after all, went elsewhere, or is no more: what stands here is of an earlier try.
            await deciding.execute(SQL["discard" if rows or is_deleted else "arrived"], task_id)
        return 1

    async def move(self, source: int, task_id: int) -> None:
        """Carry one task to the shard where it belongs; nothing if it is there, or somebody else carries it.

        What was said of it here goes out first: the shard where it arrives has a relay of its own, and what is said
        there must come after.
        """
        here = self._shards.databases[source]
        version = await self._said(here, task_id)
        if version is None:
            return
        async with here.transaction() as leaving:
            # Held to the end, so that nobody changes it under way.
            rows = await leaving.fetch(SQL["leave"], task_id, version)
            if not rows:
                return
            row = rows[0]
            target = self._shards.holding(row["performer_id"] or task_id)
            there = self._shards.databases[target]
            if there is here:
                await leaving.execute(SQL["stay"], task_id)
                return
            links = (await leaving.fetch(SQL["links"], task_id))[0]
            async with there.transaction() as arriving:
                if not await arriving.execute(SQL["arrive"], *row):
                    self._logger.error("a task stands on two shards", task_id=task_id, shards=[source, target])
                    return
                await arriving.execute(SQL["unlink"], task_id)
                await arriving.execute(SQL["link"], task_id, *links)
            await leaving.execute(SQL["left"], task_id, self._clock.now())
        await there.execute(SQL["arrived"], task_id)

    async def _said(self, here: Database, task_id: int) -> int | None:
        """The version of a task that is leaving, once all that was said of it until then is on the log."""
        rows = await here.fetch(SQL["last_said"], task_id)
        if not rows:
            return None
        version, last_id = rows[0]
        deadline = time.monotonic() + SAID_WITHIN_S
        while await here.value(SQL["is_unsaid"], last_id):
            if time.monotonic() > deadline:
                raise Unavailable("relay", "What was said of the task is not on the log yet.")
            await asyncio.sleep(LOOK_S)
        return int(version)

    async def close(self) -> None:
        """Wait for those under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=5)

    async def _try(self, source: int, task_id: int) -> None:
        try:
            async with self._room:
                await self.move(source, task_id)
        except Unavailable as away:
            self._logger.warning("a move is put off", task_id=task_id, detail=away.whole)


async def _held(shards: Sequence[Database], task_id: int) -> list[Any]:
    return [row for shard in shards for row in await shard.fetch(SQL["get"], [task_id])]

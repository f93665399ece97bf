"""What shards gain: the same rows into one database, and dealt out over three, in one run."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from support import make
from support.cluster import fresh_engines
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.migrate import migrate
from tasktide.adapters.postgres.tasks import SQL, insertion
from tasktide.domain.ids import TaskId, UserId

REACH, STRETCH = 1.5, 2.0
BATCH = 1_000
BATCHES = 90
# Each number of shards is measured so often, in turn; the best counts.
TURNS = 3


def shards() -> list[str]:
    """The rates and their ratio, as Markdown."""
    with fresh_engines() as fresh:
        urls = fresh["DB_SHARD_URLS"].split(",")
        one, many = asyncio.run(_compare(urls))
    ratio = many / one
    shown = f"**{ratio:.2f}**" if ratio >= REACH else f"{ratio:.2f}"
    return [
        f"Batches of {BATCH:,} tasks with their first history and outbox, one writer a shard: into one {one:,.0f}/s,",
        f"into {len(urls)} shards {many:,.0f}/s: {shown} times as many (to reach {REACH:g}, stretch {STRETCH:g}).",
    ]


async def _compare(urls: Sequence[str]) -> tuple[float, float]:
    """The best rate of one shard, and of all."""
    databases = [Database(url, connections=2) for url in urls]
    for database in databases:
        await migrate(database, "shard")
    rates: dict[int, list[float]] = {1: [], len(databases): []}
    for turn in range(TURNS):
        for count, found in rates.items():
            found.append(await _rate(databases[:count], 10_000_000 * (turn * 10 + count)))
    for database in databases:
        await database.close()
    one, many = (max(found) for found in rates.values())
    return one, many


async def _rate(databases: Sequence[Database], first: int) -> float:
    """Tasks a second; what the statements get is made before."""
    batches = [_arguments(first + n * BATCH) for n in range(BATCHES)]
    began = time.perf_counter()
    await asyncio.gather(*(_write(one, batches[n :: len(databases)]) for n, one in enumerate(databases)))
    return BATCH * BATCHES / (time.perf_counter() - began)


async def _write(database: Database, batches: Sequence[Sequence[Any]]) -> None:
    for arguments in batches:
        await database.write(SQL["insert"], *arguments)


def _arguments(first: int) -> list[Any]:
    tasks = [make.task(TaskId(n), performer_id=UserId(1 + n % 60)) for n in range(first, first + BATCH)]
    return insertion([make.entry(task) for task in tasks])

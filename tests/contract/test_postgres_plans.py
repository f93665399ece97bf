"""What PostgreSQL plans for a batch it has not seen: work that grows with the batch, not with its square."""

import re
from collections.abc import AsyncIterator

import pytest

from support.engines import scratch_database
from support.stack import variables
from tasktide.adapters.postgres import migrate, tasks
from tasktide.adapters.postgres.database import Database

STORED = 3_000
ROWS = [
    (
        "tasks",
        "id, version, status, priority, creator_id, due_key, created_at, updated_at, doc, words",
        "n, 1 + n % 20, 'pending', 0, 1, '9', '2026', '2026', '{}', 'w'",
    ),
    ("task_history", "task_id, version, event", "n, 1, '{}'"),
    ("task_observers", "user_id, task_id", "n % 9, n"),
    ("task_labels", "label, task_id", "n % 9, n"),
    ("task_tombstones", "id, deleted_at", "-n, '2026'"),
]


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """A shard that its server has counted: with many tasks, each version of which is that of many."""
    url = variables()["DB_SHARD_URLS"].split(",")[0]
    opened = await scratch_database(url + "_test_plans")
    try:
        await migrate.migrate(opened, migrate.SHARD)
        for table, columns, values in ROWS:
            await opened.execute(f"TRUNCATE {table}")
            rows = f"SELECT {values} FROM generate_series(1, $1::int) AS n"  # noqa: S608 - our own names
            await opened.execute(f"INSERT INTO {table} ({columns}) {rows}", STORED)
        await opened.execute("ANALYZE")
        yield opened
    finally:
        await opened.close()


@pytest.mark.parametrize(("name", "parts"), [("commit", ("moved_on", "told", "said")), ("delete", ("said",))])
async def test_what_is_written_is_not_looked_for_among_all_that_is_given(
    database: Database, name: str, parts: tuple[str, ...]
) -> None:
    plan = await _plan(database, tasks.SQL[name])
    by_part = dict(part.split("\n", 1) for part in re.split(r"\n +CTE (?=\w+\n)", plan)[1:])
    for part in parts:
        assert "Scan on locked" in by_part[part], plan
        assert "Join Filter" not in by_part[part], by_part[part]


async def _plan(database: Database, statement: str) -> str:
    """The plan that is made once and kept, as for a statement that comes again and again, without joins by hashes.

    Between a join by hashes and one that compares all with all there is a hundredth in cost for the one row that is
    expected here: which of them is taken changes with each count of the tables.
    """
    highest = max(int(number) for number in re.findall(r"\$(\d+)", statement))
    async with database.transaction() as connection:
        for setting in ("plan_cache_mode = force_generic_plan", "enable_hashjoin = off", "enable_mergejoin = off"):
            await connection.execute(f"SET LOCAL {setting}")
        await connection.execute(f"PREPARE planned AS {statement}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE planned ({', '.join(['NULL'] * highest)})")
        await connection.execute("DEALLOCATE planned")
        return "\n".join(row[0] for row in rows)

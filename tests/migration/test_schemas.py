"""The schemas of both engines, held together."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from support.engines import open_engine
from tasktide import resources
from tasktide.adapters.postgres import migrate as postgres_migrate
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.sqlite import migrate
from tasktide.domain.errors import Unavailable

Schema = dict[str, set[str]]

# What one engine needs and the other does not: tables, and columns of tables that both have.
SQLITE_ONLY = {"log_topics", "log_batches", "log_groups"}
POSTGRES_ONLY = {"shard_name", "slot_map", "outbox", "schema_migrations", "notification_numbers"}
COLUMNS = {
    "tasks": {"words", "moving"},
    "task_tombstones": {"has_moved"},
    "replies": {"owned_until"},
    "task_totals": {"stripe", "done", "processing_ms", "name", "value"},
}


def embedded() -> Schema:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for _, script in migrate.migrations():
            migrate.apply(connection, script)
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = "SELECT name FROM pragma_table_info(?)"
        return {
            table: {name for (name,) in connection.execute(columns, (table,))}
            for table in tables
            if not table.startswith("sqlite_")
        }


async def distributed(databases: list[Database]) -> Schema:
    found: Schema = {}
    asked = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    for database in databases:
        for table, column in await database.fetch(asked):
            found.setdefault(table, set()).add(column)
    return found


async def test_both_engines_have_the_same_tables_and_columns(tmp_path: Path) -> None:
    async with open_engine("postgres", tmp_path) as engine:
        theirs = await distributed([*engine.outboxes, engine.users._database])  # type: ignore[attr-defined]
    ours = embedded()
    assert ours.keys() - theirs.keys() == SQLITE_ONLY
    assert theirs.keys() - ours.keys() == POSTGRES_ONLY
    for table in ours.keys() & theirs.keys():
        assert (ours[table] ^ theirs[table]) == COLUMNS.get(table, set()), table


async def test_a_migration_may_take_longer_than_any_other_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an index over an inbox of millions does."""
    async with open_engine("postgres", tmp_path) as engine:
        url: str = engine.users._database._url  # type: ignore[attr-defined]
        monkeypatch.setattr("tasktide.adapters.postgres.database.STATEMENT_S", 0.3)
        monkeypatch.setattr(resources, "migrations", lambda *_: [(1, "SELECT pg_sleep(0.8);")])
        impatient = Database(url)
        try:
            with pytest.raises(Unavailable):
                await impatient.execute("SELECT pg_sleep(0.8)")
            assert await postgres_migrate.migrate(impatient, "slow") == [1]
            await impatient.execute("DELETE FROM schema_migrations WHERE kind = 'slow'")
        finally:
            await impatient.close()


def test_migrations_have_the_same_numbers() -> None:
    numbers = {number for number, _ in migrate.migrations()}
    for kind in ("users", "shard"):
        scripts = resources.migrations("tasktide.adapters.postgres", f"migrations/{kind}")
        assert {number for number, _ in scripts} <= numbers
    assert numbers == {
        number
        for kind in ("users", "shard")
        for number, _ in resources.migrations("tasktide.adapters.postgres", f"migrations/{kind}")
    }

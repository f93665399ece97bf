"""Statements use the indexes that the comment above them names."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files

import pytest

from tasktide import resources
from tasktide.adapters.sqlite import migrate

PACKAGE = "tasktide.adapters.sqlite"


def _indexes(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}


def _promises(names: set[str]) -> Iterator[tuple[str, str, set[str]]]:
    """Noun, statement and the indexes that its comment names."""
    for noun in sorted(one.name[:-4] for one in files(PACKAGE).joinpath("sql").iterdir() if one.name.endswith(".sql")):
        for name, section in resources.sections(PACKAGE, noun).items():
            comment = " ".join(line for line in section.splitlines() if line.startswith("--"))
            if wanted := names & set(re.findall(r"\w+", comment)):
                yield noun, name, wanted


@pytest.fixture
def schema() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for _, script in migrate.migrations():
            migrate.apply(connection, script)
        yield connection


def test_statements_use_the_indexes_they_name(schema: sqlite3.Connection) -> None:
    promises = list(_promises(_indexes(schema)))
    assert ("notifications", "newest", {"notifications_unread", "notifications_read"}) in promises
    for noun, name, wanted in promises:
        sql = resources.statements(PACKAGE, noun)[name]
        if "{" in sql or "main_file" in sql:  # filled in later; another file
            continue
        plan = " | ".join(row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {sql}", _nothing(sql)))
        assert wanted <= set(re.findall(r"\w+", plan)), f"{noun}.{name}: {plan}"


def _nothing(sql: str) -> dict[str, None] | list[None]:
    named = re.findall(r"(?<!:):([a-z_]+)", sql)
    if named:
        return dict.fromkeys(named)
    numbers = [int(n) for n in re.findall(r"\?(\d+)", sql)]
    return [None] * (max(numbers) if numbers else sql.count("?"))

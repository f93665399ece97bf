"""The schema and how it comes about."""

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from tasktide.adapters.sqlite import database, migrate


def test_numbers_are_consecutive_from_one() -> None:
    assert [number for number, _ in migrate.migrations()] == list(range(1, len(migrate.migrations()) + 1))


def test_every_migration_is_applied_once(tmp_path: Path) -> None:
    path = str(tmp_path / "t.db")
    with contextlib.closing(database.connect(path)) as connection:
        assert migrate.migrate(connection) == [number for number, _ in migrate.migrations()]
        assert migrate.migrate(connection) == []
        assert migrate.version(connection) == len(migrate.migrations())


def test_a_failing_migration_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = migrate.migrations()
    broken = [*shipped, (len(shipped) + 1, "CREATE TABLE half (id INTEGER) STRICT;\nCREATE TABLE tasks (id INTEGER);")]
    with contextlib.closing(database.connect(str(tmp_path / "t.db"))) as connection:
        migrate.migrate(connection)
        monkeypatch.setattr(migrate, "migrations", lambda *_: broken)
        with pytest.raises(sqlite3.OperationalError):
            migrate.migrate(connection)
        assert migrate.version(connection) == len(shipped)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(database.connect(str(tmp_path / "t.db"))) as connection:
        connection.execute("PRAGMA user_version = 9999")
        with pytest.raises(migrate.SchemaTooNew):
            migrate.migrate(connection)


def test_two_at_once_end_with_one_schema(tmp_path: Path) -> None:
    path = str(tmp_path / "t.db")
    failures: list[Exception] = []

    def one() -> None:
        try:
            with contextlib.closing(database.connect(path)) as connection:
                migrate.migrate(connection)
        except Exception as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with contextlib.closing(database.connect(path)) as connection:
        assert migrate.version(connection) == len(migrate.migrations())


def test_every_commit_survives_a_power_cut(tmp_path: Path) -> None:
    with contextlib.closing(database.connect(str(tmp_path / "t.db"))) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_feed_goes_on_where_the_pipeline_before_it_was(tmp_path: Path) -> None:
    """Nobody reads for `fanout` any more: as a reader that stands still it would hold the log's records for good."""
    with contextlib.closing(database.connect(str(tmp_path / "t.db"))) as connection:
        for number, script in migrate.migrations():
            if number < 4:
                migrate.apply(connection, script)
                connection.execute(f"PRAGMA user_version = {number}")
        for topic, name in (("task.events", "fanout"), ("notification.events", "inbox")):
            connection.execute("INSERT INTO log_groups (topic, name, committed) VALUES (?, ?, 7)", (topic, name))
        letter = "INSERT INTO dead_letters (topic, pipeline, position, key, value, reason, attempts, parked_at) VALUES "
        connection.execute(
            letter + "('task.events', 'fanout', 5, 'k', x'00', 'because', 1, '2026-11-20T12:00:00.000Z')"
        )
        assert migrate.migrate(connection)[0] == 4
        groups = connection.execute("SELECT topic, name, committed FROM log_groups ORDER BY topic").fetchall()
        assert groups == [("notification.events", "inbox", 7), ("task.events", "feed", 7)]
        assert connection.execute("SELECT pipeline FROM dead_letters").fetchall() == [("feed",)]

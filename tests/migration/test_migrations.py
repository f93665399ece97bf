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

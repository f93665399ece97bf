"""Numbered SQL migrations, applied in order, each in a transaction, under SQLite's write lock."""

import sqlite3
from importlib.resources import files


class SchemaTooNew(Exception):
    """The file was written by a newer version of the program."""


def migrations() -> list[tuple[int, str]]:
    """The shipped migrations: number and script, ascending."""
    folder = files(__package__).joinpath("migrations")
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in scripts)


def migrate(connection: sqlite3.Connection) -> list[int]:
    """Bring the schema up to date and return the numbers applied; `PRAGMA user_version` holds the last one."""
    applied = []
    shipped = migrations()
    if version(connection) > shipped[-1][0]:
        raise SchemaTooNew(
            f"the data was written by a newer Tasktide (schema {version(connection)}, this one knows {shipped[-1][0]})"
        )
    for number, script in shipped:
        if number <= version(connection):
            continue
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        applied.append(number)
    return applied


def version(connection: sqlite3.Connection) -> int:
    """The number of the last migration applied."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])

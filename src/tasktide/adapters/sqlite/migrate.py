"""Numbered SQL migrations, applied in order, each in a transaction, under SQLite's write lock."""

import sqlite3

from tasktide import resources

SQL = resources.statements(__package__, "log")
# The folders of scripts: everything, and the file of submissions.
MAIN = "migrations"
SUBMISSIONS = "migrations/submissions"


class SchemaTooNew(Exception):
    """The file was written by a newer version of the program."""


def migrations(scripts_of: str = MAIN) -> list[tuple[int, str]]:
    """The shipped migrations of a file: number and script, ascending."""
    return resources.migrations(__package__, scripts_of)


def migrate(connection: sqlite3.Connection, scripts_of: str = MAIN) -> list[int]:
    """Bring the schema up to date and return the numbers applied; `PRAGMA user_version` holds the last one."""
    shipped = migrations(scripts_of)
    connection.execute("PRAGMA temp_store = DEFAULT")  # an index over much data is sorted in a file, not in memory
    if version(connection) > shipped[-1][0]:
        known = f"schema {version(connection)}, this one knows {shipped[-1][0]}"
        raise SchemaTooNew(f"the data was written by a newer Tasktide ({known})")
    return [number for number, script in shipped if _apply(connection, number, script)]


def adopt(connection: sqlite3.Connection, main: str, topic: str) -> None:
    """Take a topic over from the main file, where earlier versions kept it; safe to repeat after a crash anywhere."""
    connection.execute("ATTACH ? AS main_file", (main,))
    try:
        if connection.execute(SQL["adoptable"], (topic,)).fetchone()[0]:
            for step in (
                "adopt_topic",
                "adopt_batches",
                "adopt_groups",
                "leave_batches",
                "leave_groups",
                "leave_topic",
            ):
                connection.execute(SQL[step], (topic,))
    finally:
        connection.execute("DETACH main_file")


def has_parted(connection: sqlite3.Connection, topic: str) -> bool:
    """Whether ids of tasks were handed out and the main file does not hold their topic: another file does."""
    return bool(connection.execute(SQL["parted"], (topic,)).fetchone()[0])


def apply(connection: sqlite3.Connection, script: str) -> None:
    """Execute the statements of a script in the transaction that is open; `executescript` would end it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def _apply(connection: sqlite3.Connection, number: int, script: str) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked at under the lock: another process may have been faster.
        is_due = version(connection) < number
        if is_due:
            apply(connection, script)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return is_due


def version(connection: sqlite3.Connection) -> int:
    """The number of the last migration applied."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])

"""Copies of files that are being written, all of one moment."""

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from tasktide import resources
from tasktide.adapters.sqlite import database

SQL = resources.statements(__package__, "backup")
# The row among the leases that says that this is a copy, and of when.
MARK = "(copied)"


def copy(files: Mapping[Path, Path]) -> None:
    """Copy each file to where it is to be, durable when it returns; no target may exist.

    All writers are held up for the moment in which a snapshot of every file begins; copying the snapshots may take as
    long as it likes. So what one file says of another is so in the copies too.
    """
    with contextlib.ExitStack() as stack:

        def opened(path: Path) -> sqlite3.Connection:
            return stack.enter_context(contextlib.closing(database.connect(str(path))))

        writers, readers = [opened(path) for path in files], [opened(path) for path in files]
        for writer in writers:
            writer.execute("BEGIN IMMEDIATE")
        for reader in readers:
            reader.execute("BEGIN")
            reader.execute(SQL["look"]).fetchone()
        for writer in writers:
            writer.execute("ROLLBACK")
        for reader, target in zip(readers, files.values(), strict=True):
            _write(reader, target)


def _write(reader: sqlite3.Connection, target: Path) -> None:
    # Made here, so that nobody else may read it.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(target)) as copied:
        reader.backup(copied)
    settle(target)


def settle(*paths: Path) -> None:
    """Have files, or the names in folders, on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def mark(copied: Path, at_s: int) -> None:
    """Write into a copied database when that was, in Unix seconds: whoever serves it has to lease ids anew.

    Its ids would be those that the original has given out since.
    """
    with contextlib.closing(sqlite3.connect(copied)) as connection, connection:
        connection.execute(SQL["mark"], (MARK, at_s))
    settle(copied)

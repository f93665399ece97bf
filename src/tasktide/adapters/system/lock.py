"""The lock on a data directory: one server a directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class DirectoryInUse(Exception):
    """Another process serves this directory."""


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold `server.lock` in the directory; the kernel lets go of it when the process dies, however it dies."""
    with (directory / "server.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise DirectoryInUse(f"{directory} is in use by the process {holder}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield

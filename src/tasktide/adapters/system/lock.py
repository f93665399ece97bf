"""The lock on a data directory: one server a directory."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from tasktide.adapters.system.forks import keep_from_children

PAUSES_S = (0.05, 0.1, 0.2)


class DirectoryInUse(Exception):
    """Another process serves this directory."""


def is_held(directory: Path) -> bool:
    """Whether a server holds the directory; looking takes the lock for a moment."""
    with (directory / "server.lock").open("a+") as file:
        return not _try(file)


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold `server.lock` in the directory; the kernel lets go of it when the process dies, however it dies."""
    with (directory / "server.lock").open("a+") as file:
        for pause_s in PAUSES_S:
            if _try(file):
                break
            time.sleep(pause_s)  # somebody may only be looking whether it is held
        else:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise DirectoryInUse(f"{directory} is in use by the process {holder}") from None
        keep_from_children(file)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _try(file: TextIOWrapper) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

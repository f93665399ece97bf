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

    def __init__(self, directory: Path, holder: str) -> None:
        super().__init__(f"{directory} is in use by the process {holder}")


def is_held(directory: Path) -> bool:
    """Whether a server holds the directory; looking takes the lock for a moment."""
    with (directory / "server.lock").open("a+") as file:
        return not _try(file)


def holder(directory: Path) -> str:
    """The process that holds the directory, as it wrote itself down."""
    try:
        return (directory / "server.lock").read_text().strip() or "unknown"
    except OSError:
        return "unknown"


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold `server.lock` in the directory; the kernel lets go of it when the process dies, however it dies."""
    with (directory / "server.lock").open("a+") as file:
        for pause_s in PAUSES_S:
            if _try(file):
                break
            time.sleep(pause_s)  # somebody may only be looking whether it is held
        else:
            raise DirectoryInUse(directory, holder(directory)) from None
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

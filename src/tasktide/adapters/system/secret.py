"""The signing secret that is made when none is set."""

import contextlib
import os
import secrets
from pathlib import Path

FILE = "jwt.secret"
SHORTEST = 32


def keep(directory: Path) -> str:
    """The secret of a data directory, made at the first call; only its owner can read the file.

    It is written aside and linked into place, so that nobody ever reads half of one.
    """
    path = directory / FILE
    if not path.exists():
        aside = directory / f"{FILE}.{secrets.token_hex(4)}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was faster: its secret is the one
                os.link(aside, path)
        finally:
            aside.unlink()
    found = path.read_text(encoding="ascii").strip()
    if len(found) < SHORTEST:
        raise OSError(f"{path} holds no secret; remove it, and everybody signs in anew")
    return found

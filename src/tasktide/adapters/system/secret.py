"""The signing secret that is made when none is set."""

import os
import secrets
from pathlib import Path

FILE = "jwt.secret"


def keep(directory: Path) -> str:
    """The secret of a data directory, made at the first call; only its owner can read the file."""
    path = directory / FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    return path.read_text(encoding="ascii").strip()

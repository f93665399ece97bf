"""The real engines: those that are up, else the native stack is started."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/native/stack"


def stack(*arguments: str) -> str:
    """Run the stack's script; what it says on standard output."""
    return subprocess.run([SCRIPT, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=600).stdout


def told_of(engine: str) -> list[str]:
    """What the stack says of an engine that is up: its name, `up`, `port`, the port, `pid`, the process."""
    status = subprocess.run([SCRIPT, "status"], check=False, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    return next(line.split() for line in status.splitlines() if line.startswith(f"{engine} "))


@cache
def _up() -> dict[str, str] | str:
    try:
        stack("up")
    except (OSError, subprocess.SubprocessError) as error:
        return f"the native stack cannot be started here: {error}"
    return dict(line.split("=", 1) for line in stack("env").splitlines())


def variables() -> dict[str, str]:
    """The settings that use the stack. Where it cannot run the test is left out, but not in CI."""
    found = _up()
    if isinstance(found, str):
        if os.environ.get("CI"):
            pytest.fail(found)
        pytest.skip(found)
    return found

"""The real engines: those that are up, else the native stack is started."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/native/stack"


def stack(*arguments: str) -> str:
    """Run the stack's script; what it says on standard output."""
    done = subprocess.run([SCRIPT, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    return done.stdout


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

"""Prints the interpreter to install with: `python3`, or another one of this machine when that one was built for speed.

A Python compiled with the defaults of its source, as pyenv does, runs Tasktide at half the speed of one that was built
with profiles of its use, as distributions do.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence

OLDEST, NEWEST = 11, 14
# Asked of each candidate: its path, and whether it was built for speed. It fails when it is too old, or lacks a module
# that is wanted. Distributions tell their compiler past `configure`, which then knows nothing of it.
PROBE = f"""
import importlib, sys, sysconfig
if sys.version_info < (3, {OLDEST}):
    sys.exit(1)
for name in sys.argv[1:]:
    importlib.import_module(name)
is_fast = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "") or sys.base_prefix == "/usr"
print("fast" if is_fast else "plain", sys.executable)
"""


def candidates(modules: Sequence[str]) -> list[tuple[str, bool]]:
    """Those that are here and will do, `python3` first: the path, and whether it was built for speed."""
    names = ["python3", "/usr/bin/python3", *(f"python3.{minor}" for minor in range(NEWEST, OLDEST - 1, -1))]
    found = []
    for path in dict.fromkeys(filter(None, map(shutil.which, names))):
        done = subprocess.run([path, "-c", PROBE, *modules], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            kind, _, executable = done.stdout.strip().partition(" ")
            found.append((executable, kind == "fast"))
    return found


def choose(found: Sequence[tuple[str, bool]]) -> str:
    """The first that was built for speed, else the first."""
    return next((path for path, is_fast in found if is_fast), found[0][0])


def main() -> None:
    """Print the path of the one to take, nothing when there is none; and why it is not the first, where it is not.

    The arguments are modules that it must have.
    """
    found = candidates(sys.argv[1:])
    if not found:
        return
    first, chosen = found[0][0], choose(found)
    if chosen != first:
        sys.stderr.write(f"Using {chosen}: {first} was built without optimisations (PYTHON={first} uses it anyway).\n")
    sys.stdout.write(f"{chosen}\n")


if __name__ == "__main__":
    main()

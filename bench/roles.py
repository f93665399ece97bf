"""All roles as processes of their own on the real engines, with databases, topics and keys of their own."""

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Server, Watcher
from support.cluster import ROLES, fresh_engines
from support.stack import stack


class Roles:
    """A server as `make up-distributed` starts it; `cpu` tells what each process and each engine takes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exits = contextlib.ExitStack()
        self._programs: dict[str, Server] = {}
        self.environment: dict[str, str] = {}

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        return self._programs["gateway"].port

    def memory_mb(self, name: str) -> float:
        """What all roles have in memory together."""
        return sum(program.watcher.memory_mb(name) for program in self._programs.values())

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far, by process; an engine with all that it started."""
        roles = {name: program.watcher.cpu_s() for name, program in self._programs.items()}
        return roles | {name: Watcher(pid).with_children() for name, pid in _engines().items()}

    def __enter__(self) -> Self:
        self.environment = self._exits.enter_context(fresh_engines())
        for role in ROLES:
            program = Server(self.folder, "run", role, **self.environment)
            self._programs[role] = self._exits.enter_context(program)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, traceback)


def _engines() -> dict[str, int]:
    """The process of each engine of the stack: `pg0  up  port 15432  pid 123`."""
    rows = [line.split() for line in stack("status").splitlines()]
    return {row[0]: int(row[-1]) for row in rows if "pid" in row}

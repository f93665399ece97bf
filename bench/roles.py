"""All roles on the real engines, each in a process of its own or some together, with data of their own."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Server, Watcher
from support.cluster import ROLES, fresh_engines
from support.stack import stack


class Roles:
    """A server of several processes; `cpu` tells what each process and each engine takes.

    `together` names the roles of one process each; a role that it leaves out has a process of its own. Without any they
    are as `make up-distributed` starts them.
    """

    def __init__(self, folder: Path, together: Sequence[Sequence[str]] = ()) -> None:
        self.folder = folder
        named = {role for some in together for role in some}
        self.processes = [*together, *((role,) for role in ROLES if role not in named)]
        self._exits = contextlib.ExitStack()
        self._programs: dict[str, Server] = {}
        self.environment: dict[str, str] = {}

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        return next(program.port for name, program in self._programs.items() if "gateway" in name.split("+"))

    def memory_mb(self, name: str) -> float:
        """What all roles have in memory together."""
        return sum(program.watcher.memory_mb(name) for program in self._programs.values())

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far, by process; an engine with all that it started."""
        roles = {name: program.watcher.cpu_s() for name, program in self._programs.items()}
        return roles | {name: Watcher(pid).with_children() for name, pid in _engines().items()}

    def __enter__(self) -> Self:
        self.environment = self._exits.enter_context(fresh_engines())
        for roles in self.processes:
            program = Server(self.folder, "run", *roles, **self.environment)
            self._programs["+".join(roles)] = self._exits.enter_context(program)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, traceback)


def _engines() -> dict[str, int]:
    """The process of each engine of the stack: `pg0  up  port 15432  pid 123`."""
    rows = [line.split() for line in stack("status").splitlines()]
    return {row[0]: int(row[-1]) for row in rows if "pid" in row}

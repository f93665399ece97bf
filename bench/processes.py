"""Processes under measurement: started, watched by what the kernel says of them, ended."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from support.processes import free_port

TICKS = os.sysconf("SC_CLK_TCK")
READY_S = 60.0


class Server:
    """A process of the program, `tasktide up` unless told otherwise, with its own defaults, rate limits and all."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = environment
        self.output: list[str] = []
        began = time.monotonic()
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "tasktide"), *(arguments or ("up",))],
            env=os.environ | {"TASKTIDE_DATA_DIR": str(folder), "PORT": str(self.port)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._watcher = Watcher(self.process.pid)
        is_ready = threading.Event()
        threading.Thread(target=self._listen, args=(is_ready,), daemon=True).start()
        if not is_ready.wait(READY_S) or self.process.poll() is not None:
            raise RuntimeError("the server did not start:\n" + "".join(self.output))
        self.ready_s = time.monotonic() - began

    @property
    def watcher(self) -> "Watcher":
        """What the kernel says of it."""
        return self._watcher

    def memory_mb(self, name: str) -> float:
        """See `Watcher.memory_mb`."""
        return self._watcher.memory_mb(name)

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far, by process."""
        return {"server": self._watcher.cpu_s()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(20)

    def _listen(self, is_ready: threading.Event) -> None:
        for line in self.process.stdout or ():
            self.output.append(line)
            if "Tasktide is ready" in line:
                is_ready.set()
        is_ready.set()


class Watcher:
    """Processor time and memory of a process, from /proc."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def cpu_s(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        times = _times(Path(f"/proc/{self._pid}"))
        if times is None:
            raise ProcessLookupError(f"process {self._pid} has ended")
        return times.own / TICKS

    def with_children(self) -> float:
        """As `cpu_s`, with that of all processes it started, whether they still run or have ended."""
        times = {int(path.name): _times(path) for path in Path("/proc").glob("[0-9]*")}
        found = {self._pid}
        while more := {pid for pid, one in times.items() if one and one.parent in found} - found:
            found |= more
        return sum(one.own + one.waited for pid in found if (one := times.get(pid))) / TICKS

    def memory_mb(self, name: str = "VmRSS") -> float:
        """Resident memory in MB; `VmHWM` for the most there ever was."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


class _Times(NamedTuple):
    """Who started a process, and ticks of processor time: its own, and that of its children that have ended."""

    parent: int
    own: int
    waited: int


def _times(folder: Path) -> _Times | None:
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return None
    user, system, children_user, children_system = (int(field) for field in fields[11:15])
    return _Times(int(fields[1]), user + system, children_user + children_system)

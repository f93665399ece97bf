"""Real processes of the program, seen from the outside alone."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from support.server import Person


class Program:
    """`tasktide up` in a process of its own. `kill` is what a power cut is; `stop` is SIGTERM."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self._arguments = arguments or ("up",)
        self._environment = environment
        self.output: list[str] = []
        self.process: subprocess.Popen[str]
        self._people: list[Person] = []
        self._listener: threading.Thread
        self.start()

    def start(self, *, may_die: bool = False) -> None:
        """Start it, again on the same data, and wait until it says that it is ready, or dies if it may."""
        environment = os.environ | {
            "TASKTIDE_DATA_DIR": str(self.folder), "RATE_LIMITING": "off", "PORT": "0", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tasktide", *self._arguments],
            env=environment | self._environment,
            cwd=self.folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        is_ready = threading.Event()
        self._listener = threading.Thread(target=self._listen, args=(self.process, is_ready), daemon=True)
        self._listener.start()
        assert is_ready.wait(30), "".join(self.output)
        if may_die:
            return
        assert self.process.poll() is None, "".join(self.output)
        for person in self._people:
            person.move(self.address)

    @property
    def address(self) -> str:
        """Where it listens."""
        found = [match[1] for line in self.output if (match := re.search(r"ready at http://localhost:(\d+)", line))]
        return f"http://127.0.0.1:{found[-1]}"

    def person(self, name: str) -> Person:
        """Somebody with an account here."""
        person = Person(self.address, name)
        self._people.append(person)
        return person

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.wait()

    def wait(self, timeout_s: float = 10) -> int:
        """Its end, and its exit code."""
        code = self.process.wait(timeout_s)
        self._listener.join(10)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; the exit code, within ten seconds."""
        self.process.send_signal(number)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        for person in self._people:
            person.close()

    def _listen(self, process: "subprocess.Popen[str]", is_ready: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            if "Tasktide is ready" in line:
                is_ready.set()
        process.stdout.close()
        is_ready.set()


class Driver:
    """`tasktide load` in a process of its own, against a program on a known port."""

    def __init__(self, folder: Path, port: int, *arguments: str, record: Path | None = None) -> None:
        recorded = () if record is None else ("--record", str(record))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tasktide", "load", "--json", *recorded, *arguments],
            env=os.environ | {"TASKTIDE_DATA_DIR": str(folder), "PORT": str(port)},
            cwd=folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self, timeout_s: float = 120) -> dict[str, Any]:
        """What it reports, once it has ended."""
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the load did not end within {timeout_s:g} s") from None
        assert out, (self.process.returncode, err)
        report: dict[str, Any] = json.loads(out)
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def verified(folder: Path, *records: Path) -> dict[str, Any]:
    """What `tasktide verify` says of a data folder; it must find nothing wrong."""
    ids = folder.parent / "accepted"
    ids.write_text("".join(record.read_text() for record in records))
    done = run(folder, "verify", "--json", "--accepted", str(ids))
    assert done.stdout, (done.returncode, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, found["faults"]) == (0, {}), found["found"][:5]
    return found


def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """One command of the program, to its end."""
    return _run([], folder, arguments, environment)


def run_as(user: int, folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """As `run`, by another user of the machine; for root."""
    return _run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"], folder, arguments, environment)


def _run(
    before: Sequence[str], folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*before, sys.executable, "-m", "tasktide", *arguments],
        env={**os.environ, "TASKTIDE_DATA_DIR": str(folder), **environment},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def all_of(client: httpx.Client, path: str, **params: Any) -> list[dict[str, object]]:
    """A list read to its end."""
    found: list[dict[str, object]] = []
    url: str | None = f"{path}?{httpx.QueryParams(dict[str, Any](limit=200) | params)}"
    while url:
        page = client.get(url)
        assert page.status_code == 200, page.text
        found += page.json()["items"]
        url = page.links.get("next", {}).get("url")
    return found

"""Load from processes of its own, while something happens to the server."""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from support.processes import Driver


@contextlib.contextmanager
def under_load(folder: Path, port: int, seconds: float, *kinds: tuple[str, ...]) -> Iterator[list[tuple[Driver, Path]]]:
    """Some kinds of load at once, each with a record of what it saw accepted."""
    with contextlib.ExitStack() as stack:
        drivers = []
        for number, kind in enumerate(kinds):
            record = folder.parent / f"accepted-{number}"
            is_recorded = "notifications" not in kind
            driver = Driver(folder, port, *kind, "--seconds", str(seconds), record=record if is_recorded else None)
            record.touch()
            drivers.append((stack.enter_context(driver), record))
        sockets = sum(int(kind[kind.index("--sockets") + 1]) for kind in kinds)
        signed_in(port, sockets)
        yield drivers


def signed_in(port: int, sockets: int) -> None:
    """Wait until so many live sockets are open: the load has begun."""
    for _ in range(600):
        # On two cores that programs are starting on, an answer may take seconds.
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"accept": "text/plain"}, timeout=30).text
        found = re.search(r'^tasktide_live_connections\{protocol="websocket"\} (\S+)', metrics, re.MULTILINE)
        if found and float(found[1]) >= sockets:
            return
        time.sleep(0.1)
    raise AssertionError("the drivers did not sign in")


def all_arrived(drivers: list[tuple[Driver, Path]]) -> int:
    """Everything that was accepted came over the live sockets, once each and in order, in spite of all."""
    accepted = 0
    for driver, _ in drivers:
        report = driver.report()
        assert (report["doubled"], report["disordered"]) == (0, 0), report
        assert report["settle_s"] is not None, report
        assert report["accepted"] > 0, report
        accepted += report["accepted"]
    return accepted

"""What every peer's producer and worker share: the same job, a count of what is done, and the same report."""

import asyncio
import json
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

PAYLOAD = "Hello world!"
# Producers at once, as the connections of `tasktide load`.
PRODUCERS = 64
# Threads get in each other's way: more of them submit less.
THREADS = 8
PATIENCE_S = 30.0
_ONE = struct.Struct("<q")


def reverse(payload: str) -> str:
    """The job: what Tasktide's handler of this name does."""
    return f"{payload[::-1]} (len={len(payload)})"


class Done:
    """A count in a file that worker and producer both have in memory; counting costs a microsecond."""

    def __init__(self) -> None:
        path = Path(os.environ["DONE_FILE"])
        if not path.exists():
            path.write_bytes(_ONE.pack(0) * 64)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._process = 0
        self._at = 0
        self._count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """One more job is done."""
        with self._lock:
            if self._process != os.getpid():
                # Each process of a worker counts in a place of its own, those that were forked after the import too.
                self._process, self._count = os.getpid(), 0
                self._at = (self._process % 64) * _ONE.size
            self._count += 1
            _ONE.pack_into(self._memory, self._at, self._count)

    def total(self) -> int:
        """How many are done."""
        return sum(_ONE.unpack_from(self._memory, at * _ONE.size)[0] for at in range(64))


def report(accepted: int, accepting_s: float, finished: int, finishing_s: float) -> None:
    """One line of JSON for the runner."""
    print(json.dumps({
        "accepted": accepted, "accepted_rate": accepted / accepting_s,
        "done": finished, "done_rate": finished / finishing_s,
    }))  # fmt: skip


def until_done(done: Done, accepted: int, began: float) -> float:
    """Seconds from `began` until all accepted jobs are done, or until nothing has come for long."""
    last, news = -1, time.monotonic()
    while (now := done.total()) < accepted and time.monotonic() - news < PATIENCE_S:
        if now != last:
            last, news = now, time.monotonic()
        time.sleep(0.005)
    return time.monotonic() - began


def seconds() -> float:
    """How long to submit, from the command line."""
    return float(sys.argv[1])


def produce_in_threads(submit: Callable[[], object]) -> None:
    """Submit from many threads for as long as asked, wait for the end, report."""
    done, limit = Done(), seconds()
    began = time.monotonic()
    counts = [0] * THREADS

    def work(index: int) -> None:
        while time.monotonic() - began < limit:
            submit()
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepting_s, accepted = time.monotonic() - began, sum(counts)
    finishing_s = until_done(done, accepted, began)
    report(accepted, accepting_s, done.total(), finishing_s)


async def produce(submit: Callable[[], Awaitable[object]]) -> None:
    """As `produce_in_threads`, from coroutines."""
    done, limit = Done(), seconds()
    began = time.monotonic()
    accepted = 0

    async def work() -> None:
        nonlocal accepted
        while time.monotonic() - began < limit:
            await submit()
            accepted += 1

    await asyncio.gather(*(work() for _ in range(PRODUCERS)))
    accepting_s = time.monotonic() - began
    finishing_s = await asyncio.to_thread(until_done, done, accepted, began)
    report(accepted, accepting_s, done.total(), finishing_s)

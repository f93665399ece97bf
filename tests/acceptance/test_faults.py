"""What happens to the machine, under load; `tasktide verify` after each."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from support.load import all_arrived, under_load
from support.processes import Driver, Program, free_port, verified
from support.server import Person

pytestmark = pytest.mark.acceptance

KILLS = 20
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
KINDS = (
    ("--kind", "tasks", "--connections", "8", "--sockets", "20", "--rate", "300"),
    ("--kind", "tasks", "--connections", "2", "--sockets", "20", "--rate", "1000", "--batch", "100"),
    ("--kind", "jobs", "--connections", "4", "--sockets", "20", "--rate", "100"),
    ("--kind", "notifications", "--connections", "2", "--sockets", "20", "--rate", "500", "--batch", "50"),
)


def test_twenty_kills_under_every_kind_of_load(tmp_path: Path) -> None:
    random, port, data = Random(7), free_port(), tmp_path / "data"
    with Program(data, PORT=str(port)) as program:
        with under_load(data, port, 45, *KINDS) as drivers:
            for _ in range(KILLS):
                time.sleep(random.uniform(0.1, 1.0))
                program.kill()
                program.start()
            accepted = all_arrived(drivers)
        assert program.stop() == 0
    found = verified(data, *(record for _, record in drivers))
    assert found["notifications"] >= accepted
    assert found["waiting"] == 0


def test_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    with Program(data, PORT=str(port)) as program:
        with under_load(data, port, 14, *KINDS) as drivers:
            for _ in range(3):
                time.sleep(1.5)
                assert program.stop(signal.SIGTERM) == 0
                program.start()
            all_arrived(drivers)
        assert program.stop() == 0
    verified(data, *(record for _, record in drivers))


def test_a_restart_goes_on_with_half_processed_batches(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Program(data) as program:
        ann, bob = program.person("ann"), program.person("bob")
        batch = [{"title": f"t{n}", "performer_id": bob.id} for n in range(5_000)]
        ids: list[int] = []
        for _ in range(3):
            ids += ann.http.post("/tasks/batch", json=batch).json()["ids"]
            program.kill()  # accepted, and hardly begun
            program.start()
        assert len(bob.inbox(15_000)) == 15_000
        assert program.stop() == 0
    record = tmp_path / "record"
    record.write_text("".join(f"{one}\n" for one in ids))
    assert verified(data, record)["tasks"] == 15_000


def test_a_flood_from_one_client_leaves_room_for_another(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    with Program(data, PORT=str(port), RATE_LIMITING="on", RATE_ANONYMOUS="1000/1s") as program:
        ann, flooder = program.person("ann"), program.person("flooder")
        quiet = p99(ann, 4)
        arguments = ("--token", f"{flooder.id}:{flooder.token}", "--connections", "32", "--sockets", "0")
        with Driver(data, port, *arguments, "--seconds", "6") as driver:
            time.sleep(1.5)
            flooded = p99(ann, 4)
            report = driver.report()
        assert report["errors"].get("429 rate_limited", 0) > 0, "the flood was a flood"
        assert program.stop() == 0
    # Below 10 ms a scheduler's whim would decide.
    assert flooded <= 5 * max(quiet, 0.010), (quiet, flooded)
    verified(data)


def p99(person: Person, seconds: float) -> float:
    """Seconds within which 99 of 100 submits of a calm client are answered."""
    taken = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        person.submit(title="calm")
        taken.append(time.perf_counter() - began)
        time.sleep(0.02)
    return sorted(taken)[int(len(taken) * 0.99) - 1]


def test_fifty_of_five_hundred_sockets_never_read(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    with Program(data, PORT=str(port), SOCKET_SEND_TIMEOUT="2") as program, contextlib.ExitStack() as stack:
        ann = program.person("ann")
        for _ in range(50):
            stack.enter_context(deaf(port, ann.token))
        load = ("--kind", "notifications", "--connections", "2", "--sockets", "450", "--rate", "5000", "--batch", "500")
        with Driver(data, port, *load, "--seconds", "10") as driver:
            until = time.monotonic() + 8
            while time.monotonic() < until:  # long messages fill the buffers of those who do not read
                body = {"user_ids": [ann.id], "message": "x" * 2_000}
                assert ann.http.post("/notifications/batch", json=[body] * 500).status_code == 202
            report = driver.report()
        assert report["settle_s"] is not None, report
        assert (report["doubled"], report["disordered"], report["delivered"]) == (0, 0, report["expected"])
        # The deaf are let go: those who can hear are all that is left of them.
        for _ in range(300):
            metrics = httpx.get(f"{program.address}/metrics", headers={"accept": "text/plain"}, timeout=30).text
            if 'tasktide_live_connections{protocol="websocket"} 0.0' in metrics:
                break
            time.sleep(0.2)
        else:
            raise AssertionError(metrics)
        assert program.stop() == 0
    verified(data)


@contextlib.contextmanager
def deaf(port: int, token: str) -> Iterator[None]:
    """A WebSocket that signs in and never reads."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", port))
        client.sendall(
            b"GET /tasks/notifications HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        frame = b'{"type":"authenticate","token":"%b"}' % token.encode()
        # A client's frames are masked; the mask of zeros leaves the text as it is.
        client.sendall(b"\x81\xfe" + len(frame).to_bytes(2, "big") + b"\0\0\0\0" + frame)
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes; skipped where nobody may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        assert not os.environ.get("CI"), "CI must be able to mount a small disk"
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_a_clear_answer_and_room_mends_it(small_disk: Path) -> None:
    data = small_disk / "data"
    with Program(data) as program:
        ann, bob = program.person("ann"), program.person("bob")
        batch = [{"title": "t", "description": "x" * 2_000, "performer_id": bob.id}] * 200
        accepted: list[int] = []
        refused = until_answered(lambda: ann.http.post("/tasks/batch", json=batch), 503, accepted)
        assert refused["code"] == "unavailable"
        assert "full" in refused["detail"].lower() or "behind" in refused["detail"].lower() or refused["detail"]
        health = httpx.get(f"{program.address}/health/liveness", timeout=30)
        assert health.status_code == 200, "it lives on"
        subprocess.run(["mount", "-o", "remount,size=400m", small_disk], check=True)
        until_answered(lambda: ann.http.post("/tasks/batch", json=batch), 202, [])
        until_answered(lambda: httpx.get(f"{program.address}/readyz", timeout=30), 200, [])
        assert len(bob.inbox(len(accepted))) == len(accepted)
        assert program.stop() == 0
    record = small_disk / "record"
    record.write_text("".join(f"{one}\n" for one in accepted))
    verified(data, record)


def until_answered(ask: Callable[[], httpx.Response], status: int, accepted: list[int]) -> dict[str, Any]:
    """Ask until it is answered so; what was accepted meanwhile is noted."""
    until = time.monotonic() + 60
    answer = ask()
    while answer.status_code != status:
        assert time.monotonic() < until, answer.text
        if answer.status_code == 202:
            accepted += answer.json()["ids"]
        else:
            assert answer.status_code == 503, answer.text
            time.sleep(0.2)
        answer = ask()
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("hours", ["+1h", "-1h"])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, hours: str) -> None:
    if not Path(FAKETIME).exists():
        assert not os.environ.get("CI"), "CI must have libfaketime"
        pytest.skip("needs Debian's package libfaketime")
    port, data, clock = free_port(), tmp_path / "data", tmp_path / "clock"
    clock.write_text("+0")
    faked = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
    with Program(data, PORT=str(port), **faked) as program:
        ann = program.person("ann")
        with under_load(data, port, 10, KINDS[0], KINDS[2]) as drivers:
            time.sleep(2)
            clock.write_text(hours)
            all_arrived(drivers)
        done = ann.finished(ann.submit(payload="after")["id"])
        assert done["status"] == "done"
        assert program.stop() == 0
    verified(data, *(record for _, record in drivers))
    shutil.rmtree(data)


def test_a_soak_grows_neither_memory_nor_files(tmp_path: Path) -> None:
    """Twenty seconds in the suite; `make soak` runs ten minutes at half the rate that was reached."""
    seconds, rate = float(os.environ.get("SOAK_SECONDS", "20")), os.environ.get("SOAK_RATE", "800")
    port, data = free_port(), tmp_path / "data"
    retention = str(max(2, int(seconds / 10)))
    with Program(data, PORT=str(port), LOG_RETENTION=retention, SWEEP_INTERVAL="1") as program:
        arguments = ("--connections", "16", "--sockets", "20", "--rate", rate, "--seconds", str(seconds))
        samples: list[tuple[int, int]] = []
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(seconds / 20):
                samples.append((memory_of(program.process.pid), log_bytes(data)))

        watcher = threading.Thread(target=sample)
        with Driver(data, port, *arguments) as driver:
            watcher.start()
            report = driver.report(seconds + 120)
            stop.set()
            watcher.join()
        assert report["settle_s"] is not None, report
        assert program.stop() == 0
    verified(data)
    half = len(samples) // 2
    early, late = samples[half - 2 : half + 1], samples[-3:]
    assert max(size for size, _ in late) < 1.25 * max(size for size, _ in early) + 30_000_000, samples
    assert max(log for _, log in late) < 1.5 * max(log for _, log in early) + 5_000_000, samples


def memory_of(pid: int) -> int:
    """Resident bytes of a process."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def log_bytes(data: Path) -> int:
    """Bytes of the files that retention keeps small, and of what is written ahead."""
    files = [data / "submissions.db", data / "submissions.db-wal", data / "tasktide.db-wal"]
    return sum(file.stat().st_size for file in files if file.exists())

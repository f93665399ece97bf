"""`make bench-peers`: jobs, submit to done, on Tasktide and its peers in one run on the same machine.

Every producer submits one by one, from 64 places at once (8 threads, where it has only those), for some seconds, with
confirms where the broker has them; then all that was accepted is waited for. All of them store results. Those whose
interface takes many jobs in one call do it once more in batches.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.processes import Server
from bench.roles import Roles
from bench.run import drive, machine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"
JOBS = ("--kind", "jobs", "--connections", "64", "--sockets", "20")
BATCH = 100
BATCHES = ("--kind", "jobs", "--connections", "8", "--sockets", "20", "--batch", str(BATCH))
SQLITE = "Tasktide, one process on SQLite"
ENGINES = "Tasktide, one process on PostgreSQL, Kafka and Redis"
APART = "Tasktide, every role a process, on the same"
BULLMQ = "BullMQ on Redis"
IN_BATCHES = f", in batches of {BATCH}"
START_S = 6.0

WORKERS: Mapping[str, Sequence[str]] = {
    "taskiq on RabbitMQ": (str(VENV / "bin/taskiq"), "worker", "bench.peers.with_taskiq:broker", "--workers", "1",
                           "--max-async-tasks", "100", "--log-level", "ERROR"),
    "dramatiq on RabbitMQ": (str(VENV / "bin/dramatiq"), "bench.peers.with_dramatiq", "--processes", "2",
                             "--threads", "8"),
    "Celery on RabbitMQ": (str(VENV / "bin/celery"), "-A", "bench.peers.with_celery", "worker", "--concurrency", "2",
                           "--loglevel", "ERROR", "--without-gossip", "--without-mingle"),
    BULLMQ: ("node", str(HERE / "bullmq/main.mjs"), "worker"),
}  # fmt: skip
PRODUCERS: Mapping[str, Sequence[str]] = {
    "taskiq on RabbitMQ": (str(PYTHON), "-m", "bench.peers.with_taskiq"),
    "dramatiq on RabbitMQ": (str(PYTHON), "-m", "bench.peers.with_dramatiq"),
    "Celery on RabbitMQ": (str(PYTHON), "-m", "bench.peers.with_celery"),
    BULLMQ: ("node", str(HERE / "bullmq/main.mjs")),
}


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    install()
    subprocess.run([str(ROOT / "deploy/native/stack"), "up"], check=True)
    engines = variables()
    seconds = chosen.seconds
    found: dict[str, dict[str, float]] = {}
    for jobs, how in ((JOBS, ""), (BATCHES, IN_BATCHES)):
        found[SQLITE + how] = ours({}, jobs, seconds)
        found[ENGINES + how] = ours(stores(engines), jobs, seconds)
        found[APART + how] = apart(jobs, seconds)
    for name in WORKERS:
        found[name] = peer(name, engines, seconds)
    found[BULLMQ + IN_BATCHES] = peer(BULLMQ, engines, seconds, str(BATCH))
    table = shown(found, seconds)
    folder = ROOT / "bench" / "baselines"
    path = folder / f"{datetime.now(UTC):%Y-%m-%d}-peers.md"
    path.write_text(table)
    print(table)
    print(f"Written to {path.relative_to(ROOT)}.")


def install() -> None:
    """The peers, in environments of their own."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "-r", str(HERE / "requirements.txt")], check=True)
    if not (HERE / "bullmq" / "node_modules").exists():
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("BullMQ needs Node.js.")
        subprocess.run([npm, "install", "--no-save", "--no-package-lock", "--silent"], cwd=HERE / "bullmq", check=True)


def variables() -> dict[str, str]:
    """Where the engines of the stack are."""
    done = subprocess.run([str(ROOT / "deploy/native/stack"), "env"], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split())


def stores(engines: Mapping[str, str]) -> dict[str, str]:
    """All engines that Tasktide's jobs pass, under a name of this run's own."""
    names = ("DATABASE_URL", "DB_SHARD_URLS", "KAFKA_BROKERS", "REDIS_URL")
    return {name: engines[name] for name in names} | {"KAFKA_PREFIX": f"peers{os.getpid()}."}


def ours(environment: Mapping[str, str], jobs: Sequence[str], seconds: float) -> dict[str, float]:
    """Jobs on a server of our own: done means that whoever made them was told."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with Server(data, **environment) as server:
            return _rates(drive(server.port, data, jobs, seconds, **environment))


def apart(jobs: Sequence[str], seconds: float) -> dict[str, float]:
    """As `ours`, on all roles apart and the real engines."""
    with tempfile.TemporaryDirectory() as folder, Roles(Path(folder)) as roles:
        return _rates(drive(roles.port, roles.folder, jobs, seconds, **roles.environment))


def _rates(report: Mapping[str, Any]) -> dict[str, float]:
    """What counts of a load's report; everything must have arrived."""
    if report["settle_s"] is None:
        raise RuntimeError(f"not everything arrived: {report}")
    return {"accepted_rate": report["accepted_rate"], "done_rate": report["delivered_rate"]}


def peer(name: str, engines: Mapping[str, str], seconds: float, *options: str) -> dict[str, float]:
    """One peer, with a worker of its own; `options` are the producer's."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **engines, "PYTHONPATH": str(ROOT), "DONE_FILE": str(Path(folder) / "done")}
        with running(WORKERS[name], environment):
            done = subprocess.run(
                [*PRODUCERS[name], str(seconds), *options],
                env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds * 20 + 300,
            )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name}:\n{done.stderr[-2_000:]}")
    report: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


@contextlib.contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """A worker while the block runs, with all its children."""
    worker = subprocess.Popen(
        command, env=dict(environment), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        time.sleep(START_S)
        if worker.poll() is not None:
            raise RuntimeError(f"{command[0]} ended at once")
        yield
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        try:
            worker.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(15)


def shown(found: Mapping[str, Mapping[str, Any]], seconds: float) -> str:
    """The table, as Markdown; ratios are to Tasktide's first row of the same kind."""
    of_kind = {is_batch: found[SQLITE + how]["done_rate"] for is_batch, how in ((False, ""), (True, IN_BATCHES))}
    lines = [
        f"# Jobs, submit to done, {datetime.now(UTC):%Y-%m-%d}",
        "",
        machine(),
        "",
        f"Submitted for {seconds:g} s, then waited for; all on the same cores, in one run.",
        "Tasktide's come over HTTP with authentication, and are done when their maker was told over a live socket;",
        "the others' come from a producer inside the program (64 coroutines or 8 threads), and are done when they ran.",
        f"In batches of {BATCH}: one request, or one call of `addBulk`. The other three take one job in a call.",
        "",
        "| system | accepted/s | done/s | Tasktide on SQLite, submitted alike, is |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {name}{_short(one)} | {one['accepted_rate']:,.0f} | {one['done_rate']:,.0f} "
        f"| {of_kind[name.endswith(IN_BATCHES)] / one['done_rate']:.2f} x |"
        for name, one in found.items()
    ]
    return "\n".join(lines) + "\n"


def _short(one: Mapping[str, Any]) -> str:
    """What was accepted and never done, however long it was waited for."""
    left = one.get("accepted", 0) - one.get("done", 0)
    return f" ({left:,.0f} accepted and never done)" if left else ""


if __name__ == "__main__":
    main()

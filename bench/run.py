"""`make bench`: every scenario with the driver's own ceiling beside it, as a dated table."""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench.grow import grow
from bench.null import MARK
from bench.processes import Server
from bench.roles import Roles
from bench.scenarios import EMBEDDED, STACK, Scenario, scenarios
from bench.shards import shards
from support.cluster import ROLES
from support.processes import free_port
from tasktide.load.plan import Account
from tasktide.load.sockets import Ears

ROOT = Path(__file__).parents[1]
TASKTIDE = str(Path(sys.executable).parent / "tasktide")
GROWTH = (10_000, 1_000_000, 5_000_000)
IDLE_TASKS = 100_000
EMBEDDED_IS = (
    "Everything in one process on SQLite, default settings, all pipelines running; the driver on the same cores."
)
STACK_IS = "Processes: {}; on three PostgreSQL servers, Kafka, RabbitMQ and Redis; all on the same cores."
WARM_S = 3.0
LEGEND = (
    "Bold figures reach what they should; `driver alone` is the driver against a server that does nothing. Each "
    f"scenario begins with {WARM_S:.0f} seconds of the same load that are not counted."
)
TOKENS = ("--token", "1:nobody", "--token", "2:nobody")


def drive(port: int, folder: Path, arguments: Sequence[str], seconds: float, **environment: str) -> dict[str, Any]:
    """One run of `tasktide load`, as its report; what it printed when it has none."""
    command = [TASKTIDE, "load", "--json", *arguments, "--seconds", str(seconds)]
    done = subprocess.run(
        command,
        env=os.environ | {"TASKTIDE_DATA_DIR": str(folder), "PORT": str(port)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds * 20 + 300,
    )
    if not done.stdout:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def measured(server: Server | Roles, scenario: Scenario) -> dict[str, Any]:
    """A scenario on a running server, with what it cost: cores by process, and memory.

    A short load of the same kind goes before it: connections, statements and compiled code of engines are made once in
    the life of a server, and would be a percentile of a short run.
    """
    drive(server.port, server.folder, scenario.arguments, WARM_S, **server.environment)
    before, began = server.cpu(), time.monotonic()
    report = drive(server.port, server.folder, scenario.arguments, scenario.seconds, **server.environment)
    after, took_s = server.cpu(), time.monotonic() - began
    report["cpu"] = {name: round((after[name] - before[name]) / took_s, 2) for name in after}
    report["server_cpu"] = round(sum(report["cpu"].values()), 2)
    report["memory_mb"] = round(server.memory_mb("VmHWM"))
    return report


@contextlib.contextmanager
def nothing() -> Iterator[tuple[int, int]]:
    """The server that does nothing: its ports."""
    ports = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.null", *map(str, ports)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        process.stdout.readline()
        yield ports
    finally:
        process.terminate()
        process.wait(10)


def ceiling(port: int, folder: Path, scenario: Scenario) -> float:
    """Items a second that the driver sends when nobody does anything with them."""
    arguments = [*scenario.arguments]
    if "--sockets" in arguments:
        at = arguments.index("--sockets")
        del arguments[at : at + 2]
    if "reads" in arguments:
        arguments = ["--connections", "64"]  # the same path through the driver, without a task to read
    report = drive(port, folder, [*arguments, "--sockets", "0", *TOKENS], 3)
    return float(report["accepted_rate"])


async def hearing(port: int, seconds: float = 3.0) -> float:
    """Frames a second that the driver's sockets take in."""
    ears = Ears(f"http://127.0.0.1:{port}", [Account(number, "x") for number in range(64)], MARK)
    await ears.open()
    heard, began = ears.heard, time.monotonic()
    await asyncio.sleep(seconds)
    rate = (ears.heard - heard) / (time.monotonic() - began)
    await ears.close()
    return rate


def idle(folder: Path, tasks: int) -> tuple[float, float]:
    """Memory in MB of a server that has so many tasks and nothing to do, and the seconds until it was ready."""
    with Server(folder):
        pass
    grow(folder, tasks)
    with Server(folder) as server:
        time.sleep(3)
        return server.watcher.memory_mb(), server.ready_s


def table(rows: list[tuple[Scenario, dict[str, Any], float]]) -> list[str]:
    """The scenarios as Markdown."""
    lines = [
        "| scenario | figure | measured | reach | stretch | driver alone | CPU server / driver | memory MB | whole |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for scenario, report, alone in rows:
        whole = "yes" if report["settle_s"] is not None and not report["doubled"] and not report["disordered"] else "NO"
        for number, goal in enumerate(scenario.goals):
            value = goal.value(report)
            is_reached = value >= goal.reach if goal.more else value <= goal.reach
            cells = [
                scenario.about if number == 0 else "",
                goal.name,
                f"{'**' if is_reached else ''}{value:,.0f}{'**' if is_reached else ''}"
                if value >= 100  # noqa: PLR2004 - no decimals that mean nothing
                else f"{'**' if is_reached else ''}{value:.1f}{'**' if is_reached else ''}",
                f"{goal.reach:,.0f}",
                f"{goal.stretch:,.0f}",
                f"{alone:,.0f}/s" if number == 0 else "",
                f"{report['server_cpu']:.2f} / {report['driver_cpu']:.2f}" if number == 0 else "",
                f"{report['memory_mb']}" if number == 0 else "",
                whole if number == 0 else "",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def costs(rows: list[tuple[Scenario, dict[str, Any], float]]) -> list[str]:
    """Which process took how much, as Markdown."""
    names = list(dict.fromkeys(name for _, report, _ in rows for name in report["cpu"]))
    lines = [f"| cores taken by | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for scenario, report, _ in rows:
        cells = [f"{report['cpu'].get(name, 0):.2f}" for name in names]
        lines.append(f"| {scenario.name} | {' | '.join(cells)} |")
    return lines


def machine() -> str:
    """What it was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - the one on the path
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, {platform.system()}, commit {commit}"


def main() -> None:
    """Measure, print, and write the table under bench/baselines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of the single submits; the others take a third")
    parser.add_argument("--stack", action="store_true", help="on the real engines, each role in a process of its own")
    parser.add_argument(
        "--together",
        action="append",
        default=[],
        type=_roles,
        metavar="ROLE,ROLE...",
        help="with --stack: roles that share a process; may be repeated",
    )
    parser.add_argument(
        "--only", action="append", help="a scenario by name, `growth`, `idle`, or `shards`; may be repeated"
    )
    parser.add_argument("--out", type=Path, help="where to write; by default a dated file")
    chosen = parser.parse_args()
    goals = STACK if chosen.stack else EMBEDDED
    wanted = set(chosen.only or [*goals, *(["shards"] if chosen.stack else ["growth", "idle"])])
    folder = Path(tempfile.mkdtemp(prefix="tasktide-bench-"))
    lines = [f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "", machine(), ""]
    roles = Roles(folder, chosen.together)
    shown = ", ".join("+".join(some) for some in roles.processes)
    lines += [STACK_IS.format(shown) if chosen.stack else EMBEDDED_IS, LEGEND, ""]
    try:
        with nothing() as (port, shouting):
            alone = {one.name: ceiling(port, folder, one) for one in scenarios(1, goals) if one.name in wanted}
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                heard = runner.run(hearing(shouting))
        rows = []
        for scenario in scenarios(chosen.seconds, goals):
            if scenario.name not in wanted:
                continue
            data = folder / scenario.name
            with Roles(data, chosen.together) if chosen.stack else Server(data) as server:
                rows.append((scenario, measured(server, scenario), alone[scenario.name]))
            show(scenario.name, rows[-1][1])
            shutil.rmtree(data, ignore_errors=True)
        lines += [*table(rows), "", f"The driver's sockets alone take in {heard:,.0f} frames a second."]
        if chosen.stack:
            lines += ["", *costs(rows)]
        if "shards" in wanted:
            lines += ["", *shards()]
        if "idle" in wanted:
            memory, ready_s = idle(folder / "idle", IDLE_TASKS)
            lines += [
                "",
                f"Idle with {IDLE_TASKS:,} stored tasks: {memory:.0f} MB; ready {ready_s:.2f} s after its start.",
            ]
        if "growth" in wanted:
            lines += ["", *growth(folder / "growth", max(5.0, chosen.seconds / 6))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    name = f"{datetime.now(UTC):%Y-%m-%d}{'-stack' if chosen.stack else ''}.md"
    out = chosen.out or ROOT / "bench" / "baselines" / name
    out.write_text(text)


def _roles(names: str) -> list[str]:
    roles = names.split(",")
    if unknown := set(roles) - set(ROLES):
        raise argparse.ArgumentTypeError(f"there is no role {', '.join(sorted(unknown))}; there are {', '.join(ROLES)}")
    return roles


def growth(folder: Path, seconds: float) -> list[str]:
    """The single submits and the reads again, on more and more stored tasks."""
    lines = [
        "| stored tasks | single submits a second | accept p99 ms | frame p99 ms | reads a second | memory MB |",
        "|---|---|---|---|---|---|",
    ]
    [single, reads] = [one for one in scenarios(seconds) if one.name in {"single", "reads"}]
    with Server(folder):
        pass
    for tasks in GROWTH:
        grow(folder, tasks)
        with Server(folder) as server:
            report, read = measured(server, single), measured(server, reads)
        show(f"{tasks:,}", report)
        cells = [f"{tasks:,}", f"{single.goals[0].value(report):,.0f}", f"{report['accept_ms']['p99']:g}",
                 f"{report['frame_ms']['p99']:g}", f"{read['accepted_rate']:,.0f}",
                 f"{report['memory_mb']}"]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def show(name: str, report: dict[str, Any]) -> None:
    """One line while it goes on."""
    sys.stderr.write(
        f"{name}: accepted {report['accepted_rate']:,.0f}/s, stored {report['stored_rate'] or 0:,.0f}/s, delivered "
        f"{report['delivered_rate']:,.0f}/s, accept p99 {report['accept_ms']['p99']:g} ms, frame p99 "
        f"{report['frame_ms']['p99']:g} ms, errors {report['errors']}\n"
    )


if __name__ == "__main__":
    main()

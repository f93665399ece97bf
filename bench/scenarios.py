"""What is measured: each scenario is a load with all pipelines running, and what we want to reach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]

RATE, ACCEPT_P99, FRAME_P99 = "a second", "accept p99 ms", "frame p99 ms"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure of the report, and the value to reach; `more` is better, or less."""

    name: str
    value: Callable[[Report], float]
    reach: float
    stretch: float
    more: bool = True


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A load by its arguments, over so many seconds."""

    name: str
    about: str
    arguments: tuple[str, ...]
    seconds: float
    goals: tuple[Goal, ...]


def _through(report: Report) -> float:
    """What went all the way: the slowest of accepted, stored and delivered a second.

    Where another process stores, its count is not at hand: what was delivered had been stored.
    """
    rates = [report["accepted_rate"]]
    if report["expected"]:
        rates.append(report["delivered_rate"])
    if report["stored_rate"] is not None or not report["expected"]:
        rates.append(report["stored_rate"] or 0.0)
    return float(min(rates))


def _accept_p99(report: Report) -> float:
    return float(report["accept_ms"]["p99"])


def _frame_p50(report: Report) -> float:
    return float(report["frame_ms"]["p50"])


def _frame_p99(report: Report) -> float:
    return float(report["frame_ms"]["p99"])


def _accepted(report: Report) -> float:
    return float(report["accepted_rate"])


# What every scenario is to reach, by its name: in one process on SQLite, and with all roles apart on the real engines.
Goals = Mapping[str, tuple[Goal, ...]]
EMBEDDED: Goals = {
    "single": (
        Goal(name=RATE, value=_through, reach=10_000, stretch=20_000),
        Goal(name=ACCEPT_P99, value=_accept_p99, reach=50, stretch=50, more=False),
        Goal(name=FRAME_P99, value=_frame_p99, reach=100, stretch=100, more=False),
    ),
    "batch": (Goal(name=RATE, value=_through, reach=50_000, stretch=80_000),),
    "notifications": (Goal(name=RATE, value=_through, reach=50_000, stretch=80_000),),
    "jobs": (Goal(name=RATE, value=_through, reach=13_000, stretch=20_000),),
    "latency": (
        Goal(name="frame p50 ms", value=_frame_p50, reach=3, stretch=3, more=False),
        Goal(name=FRAME_P99, value=_frame_p99, reach=15, stretch=8, more=False),
    ),
    "reads": (Goal(name=RATE, value=_accepted, reach=12_000, stretch=25_000),),
}
STACK: Goals = {
    "single": (
        Goal(name=RATE, value=_through, reach=6_000, stretch=10_000),
        Goal(name=ACCEPT_P99, value=_accept_p99, reach=60, stretch=60, more=False),
    ),
    "batch": (Goal(name=RATE, value=_through, reach=25_000, stretch=50_000),),
    "notifications": (Goal(name=RATE, value=_through, reach=25_000, stretch=50_000),),
    # Twice what taskiq does on the same machine; `make bench-peers` prints the ratio of one run.
    "jobs": (Goal(name=RATE, value=_through, reach=4_500, stretch=10_000),),
    "latency": (Goal(name=FRAME_P99, value=_frame_p99, reach=60, stretch=25, more=False),),
}


def scenarios(seconds: float, goals: Goals = EMBEDDED) -> list[Scenario]:
    """Those that there are goals for; the single submits run `seconds`, the others a third of it."""
    short = max(5.0, seconds / 3)
    return [
        Scenario(name=name, about=about, arguments=arguments, seconds=seconds if name == "single" else short,
                 goals=goals[name])
        for name, (about, arguments) in _LOADS.items()
        if name in goals
    ]  # fmt: skip


_LOADS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "single": (
        "single submits, 64 connections: accepted = stored = performer notified over a live socket",
        ("--connections", "64", "--sockets", "64"),
    ),
    "batch": (
        "batches of 1,000 by 4 connections, same",
        ("--connections", "4", "--sockets", "64", "--batch", "1000"),
    ),
    "notifications": (
        "direct notifications in batches, stored and pushed to 500 live sockets",
        ("--kind", "notifications", "--connections", "4", "--sockets", "500", "--batch", "1000"),
    ),
    "jobs": (
        "handler tasks (`reverse`) in batches of 100, submit to done",
        ("--kind", "jobs", "--connections", "4", "--sockets", "64", "--batch", "100"),
    ),
    "latency": ("POST to WebSocket frame at 500/s", ("--connections", "64", "--sockets", "64", "--rate", "500")),
    "reads": ("GET /tasks/{id}, warm", ("--kind", "reads", "--connections", "64")),
}

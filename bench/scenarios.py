"""What is measured: each scenario is a load with all pipelines running, and what we want to reach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]


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
    """What went all the way: the slowest of accepted, stored and delivered a second."""
    rates = [report["accepted_rate"], report["stored_rate"] or 0.0]
    return float(min([*rates, report["delivered_rate"]] if report["expected"] else rates))


def scenarios(seconds: float) -> list[Scenario]:
    """All of them; the single submits run `seconds`, the others a third of it."""
    short = max(5.0, seconds / 3)
    return [
        Scenario(
            name="single",
            about="single submits, 64 connections: accepted = stored = performer notified over a live socket",
            arguments=("--connections", "64", "--sockets", "64"),
            seconds=seconds,
            goals=(
                Goal(name="a second", value=_through, reach=10_000, stretch=20_000),
                Goal(name="accept p99 ms", value=lambda r: r["accept_ms"]["p99"], reach=50, stretch=50, more=False),
                Goal(name="frame p99 ms", value=lambda r: r["frame_ms"]["p99"], reach=100, stretch=100, more=False),
            ),
        ),
        Scenario(
            name="batch",
            about="batches of 1,000 by 4 connections, same",
            arguments=("--connections", "4", "--sockets", "64", "--batch", "1000"),
            seconds=short,
            goals=(Goal(name="a second", value=_through, reach=50_000, stretch=80_000),),
        ),
        Scenario(
            name="notifications",
            about="direct notifications in batches, stored and pushed to 500 live sockets",
            arguments=("--kind", "notifications", "--connections", "4", "--sockets", "500", "--batch", "1000"),
            seconds=short,
            goals=(Goal(name="a second", value=_through, reach=50_000, stretch=80_000),),
        ),
        Scenario(
            name="jobs",
            about="handler tasks (`reverse`) in batches of 100, submit to done",
            arguments=("--kind", "jobs", "--connections", "4", "--sockets", "64", "--batch", "100"),
            seconds=short,
            goals=(Goal(name="a second", value=_through, reach=13_000, stretch=20_000),),
        ),
        Scenario(
            name="latency",
            about="POST to WebSocket frame at 500/s",
            arguments=("--connections", "64", "--sockets", "64", "--rate", "500"),
            seconds=short,
            goals=(
                Goal(name="frame p50 ms", value=lambda r: r["frame_ms"]["p50"], reach=3, stretch=3, more=False),
                Goal(name="frame p99 ms", value=lambda r: r["frame_ms"]["p99"], reach=15, stretch=8, more=False),
            ),
        ),
        Scenario(
            name="reads",
            about="GET /tasks/{id}, warm",
            arguments=("--kind", "reads", "--connections", "64"),
            seconds=short,
            goals=(Goal(name="a second", value=lambda r: r["accepted_rate"], reach=12_000, stretch=25_000),),
        ),
    ]

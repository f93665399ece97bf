"""Every role in a process of its own, on the real engines, with data of its own."""

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient
from redis import Redis

from support import stack
from support.processes import Program, free_port, verified

ROLES = ("gateway", "ingest", "worker", "notifier", "deliver", "relay", "schedule")
# A database of Redis for these tests alone.
REDIS_DATABASE = 7
# How long what is on its way may take to arrive.
SETTLE_S = 60.0


class Cluster:
    """The roles, and the engines under them. `kill` is kill -9 of one process; engines are stopped and started."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._roles: dict[str, Program] = {}
        self._exits = contextlib.ExitStack()

    def start(self, name: str, role: str = "") -> None:
        """Start a process of a role, under a name."""
        port = {"PORT": str(self.port)} if name == "gateway" else {}
        program = Program(self.folder, "run", role or name, **port)
        self._roles[name] = self._exits.enter_context(program)

    def restart(self, name: str) -> None:
        """kill -9, and the same again a moment later."""
        with self.killed(name):
            pass

    @contextlib.contextmanager
    def killed(self, name: str) -> Iterator[None]:
        """kill -9, and the same again afterwards."""
        self._roles[name].kill()
        try:
            yield
        finally:
            self._roles[name].start()

    def stop(self, name: str) -> None:
        """SIGTERM; it must end well, within ten seconds."""
        assert self._roles.pop(name).stop(signal.SIGTERM) == 0

    def died(self) -> list[str]:
        """Who has ended, though nobody told it to."""
        return [name for name, one in self._roles.items() if one.process.poll() is not None]

    def outputs(self) -> str:
        """What all processes said."""
        return "".join(f"--- {name}\n{_short(one.output[-15:])}" for name, one in self._roles.items())

    def __enter__(self) -> Self:
        for role in ROLES:
            self.start(role)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, traceback)


@contextlib.contextmanager
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: Callable[[str], str] = lambda url: url
) -> Iterator[Cluster]:
    """All roles apart, on empty databases and topics of their own; `through` may put something before an engine."""
    with fresh_engines() as fresh:
        for name, value in fresh.items():
            is_address = name.endswith(("_URL", "_URLS", "_BROKERS"))
            monkeypatch.setenv(name, ",".join(through(url) for url in value.split(",")) if is_address else value)
        monkeypatch.setenv("JOB_LEASE", "5")
        with Cluster(tmp_path / "data", free_port()) as opened:
            yield opened


@contextlib.contextmanager
def fresh_engines() -> Iterator[dict[str, str]]:
    """The variables of empty databases, topics and keys."""
    fresh = _fresh(stack.variables())
    try:
        yield fresh
    finally:
        _drop_topics(fresh["KAFKA_BROKERS"], fresh["KAFKA_PREFIX"])


def proven(opened: Cluster, *records: Path) -> dict[str, Any]:
    """What `tasktide verify` says once nothing is on its way; nothing may be missing, doubled or out of order.

    It must not say anything else before, either.
    """
    until = time.monotonic() + SETTLE_S
    while True:
        found = verified(opened.folder, *records)
        if not found["waiting"] or time.monotonic() > until:
            assert found["waiting"] == 0, found
            return found
        time.sleep(0.5)


def _short(lines: Sequence[str]) -> str:
    return "".join(f"{line[:200]} ... {line[-400:].rstrip()}\n" for line in lines)


def _fresh(found: dict[str, str]) -> dict[str, str]:
    urls = [found["DATABASE_URL"], *found["DB_SHARD_URLS"].split(",")]
    fresh = [f"{url}_cluster" for url in urls]
    asyncio.run(_make_anew(fresh))
    redis = found["REDIS_URL"].rpartition("/")[0] + f"/{REDIS_DATABASE}"
    with Redis.from_url(redis) as client:
        client.flushdb()
    return {
        "DATABASE_URL": fresh[0],
        "DB_SHARD_URLS": ",".join(fresh[1:]),
        "KAFKA_BROKERS": found["KAFKA_BROKERS"],
        "KAFKA_PREFIX": f"cluster-{secrets.token_hex(4)}.",
        "KAFKA_PARTITIONS": "4",
        "RABBITMQ_URL": found["RABBITMQ_URL"],
        "REDIS_URL": redis,
    }


async def _make_anew(urls: Sequence[str]) -> None:
    for url in urls:
        server, _, name = url.rpartition("/")
        connection = await asyncpg.connect(f"{server}/postgres")
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()


def _drop_topics(brokers: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(10)

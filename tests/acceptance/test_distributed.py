"""Roles apart on the real engines, and what happens to each of them under load; `tasktide verify` after each."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from redis import Redis

from support.cluster import Cluster, cluster, fresh_engines, proven
from support.load import all_arrived, under_load
from support.proxy import Proxy
from support.server import Person
from support.stack import stack, told_of

pytestmark = pytest.mark.acceptance

KINDS = (
    ("--kind", "tasks", "--connections", "4", "--sockets", "10", "--rate", "60"),
    ("--kind", "tasks", "--connections", "1", "--sockets", "10", "--rate", "200", "--batch", "50"),
    ("--kind", "jobs", "--connections", "2", "--sockets", "10", "--rate", "20"),
    ("--kind", "notifications", "--connections", "1", "--sockets", "10", "--rate", "100", "--batch", "20"),
)


@pytest.fixture
def roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster(tmp_path, monkeypatch) as opened:
        yield opened


# What may go wrong, by name: it begins when it is entered and is over when it is left.
Fault = Callable[[Cluster], contextlib.AbstractContextManager[None]]


def survives(roles: Cluster, seconds: float, disturb: Callable[[], object]) -> None:
    """Load of every kind, a disturbance in the middle of it, and nothing is lost, doubled or out of order."""
    try:
        with under_load(roles.folder, roles.port, seconds, *KINDS) as drivers:
            time.sleep(1.5)
            disturb()
            accepted = all_arrived(drivers)
        found = proven(roles, *(record for _, record in drivers))
    except AssertionError as error:
        raise AssertionError(f"{error}\ndied: {roles.died()}\n{roles.outputs()}") from error
    assert roles.died() == []
    assert found["notifications"] >= accepted


@contextlib.contextmanager
def away(*engines: str) -> Iterator[None]:
    """Engines that are stopped for a while."""
    stack("down", *engines)
    try:
        yield
    finally:
        stack("up", *engines)


@contextlib.contextmanager
def struck(engine: str) -> Iterator[None]:
    """kill -9 of an engine, which is started again afterwards."""
    pid = int(told_of(engine)[5])
    os.kill(pid, signal.SIGKILL)
    while not has_ended(pid):
        time.sleep(0.05)
    try:
        yield
    finally:
        stack("up", engine)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or but a name that nobody has crossed out yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@contextlib.contextmanager
def flushed() -> Iterator[None]:
    """Redis forgets everything."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushall()
        yield


def killing(role: str) -> Fault:
    return lambda roles: roles.killed(role)


def stopping(engine: str) -> Fault:
    return lambda _: away(engine)


def striking(engine: str) -> Fault:
    return lambda _: struck(engine)


def forgetting() -> Fault:
    return lambda _: flushed()


def test_the_roles_do_together_what_one_process_does(roles: Cluster) -> None:
    address = f"http://127.0.0.1:{roles.port}"
    ann, bob = Person(address, "ann"), Person(address, "bob")
    try:
        task = ann.submit(title="Water the plants", performer_id=bob.id)
        job = ann.submit(payload="abc")
        assert ann.finished(job["id"])["result"] == "cba (len=3)"
        assert bob.inbox(1)[0]["message"] == "“Water the plants” is yours to do"
        assert bob.http.patch(f"/tasks/{task['id']}", json={"status": "done"}).status_code == 200
        assert {one["kind"] for one in ann.inbox(2)} == {"task.completed"}
        assert set(ann.http.get("/readyz").json()["engines"]) == {"postgres", "shard-0", "shard-1", "shard-2", "kafka"}
        health = ann.http.get("/health").json()
        assert set(health["engines"]) == {"postgres", "shard-0", "shard-1", "shard-2", "kafka", "redis", "rabbitmq"}
    finally:
        ann.close()
        bob.close()
    proven(roles)


@pytest.mark.parametrize("names", [("ingest", "worker"), ("notifier", "relay"), ("gateway", "schedule")])
def test_killing_roles(roles: Cluster, names: tuple[str, ...]) -> None:
    def disturb() -> None:
        for name in names * 2:
            roles.restart(name)
            time.sleep(1)

    survives(roles, 14, disturb)


@pytest.mark.parametrize("engines", [("kafka",), ("pg0",), ("pg1", "redis"), ("rabbitmq",)])
def test_stopping_engines(roles: Cluster, engines: tuple[str, ...]) -> None:
    def disturb() -> None:
        with away(*engines):
            time.sleep(2)

    survives(roles, 14, disturb)


def test_a_broker_that_begins_anew_ends_nobody() -> None:
    """Its coordinator says for a moment that it is none, on which the administrative client would crash."""
    with fresh_engines() as fresh:
        arguments = (fresh["KAFKA_BROKERS"], fresh["KAFKA_PREFIX"], "30")
        command = [sys.executable, "-m", "support.asking", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as asking:
            assert asking.stdout is not None
            assert asking.stdout.readline() == "ready\n"
            with away("kafka"):
                time.sleep(1)
            assert asking.stdout.read() == "alive\n"
        assert asking.returncode == 0


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cluster, dict[str, Proxy]]]:
    """As `roles`, each engine behind a line that can be disturbed."""
    with contextlib.ExitStack() as exits:
        proxies: dict[str, Proxy] = {}
        kafka = port_of("kafka")

        def through(url: str) -> str:
            port = re.search(r"127\.0\.0\.1:(\d+)", url)
            assert port is not None
            if port[1] not in proxies:
                # Kafka tells its clients where to go on; at one of its ports, where this line is.
                line = Proxy(int(kafka) + 2, int(kafka) + 3) if port[1] == kafka else Proxy(int(port[1]))
                proxies[port[1]] = exits.enter_context(line)
            return url.replace(port[0], f"127.0.0.1:{proxies[port[1]].port}")

        with cluster(tmp_path, monkeypatch, through) as opened:
            yield opened, proxies


@pytest.mark.parametrize("engines", [("kafka",), ("pg1",), ("redis", "rabbitmq"), ("pg0", "redis")])
def test_a_cut_network(network: tuple[Cluster, dict[str, Proxy]], engines: tuple[str, ...]) -> None:
    roles, proxies = network

    def disturb() -> None:
        cut = [proxies[port_of(engine)] for engine in engines]
        for proxy in cut:
            proxy.is_cut = True
        time.sleep(4)
        for proxy in cut:
            proxy.is_cut = False

    survives(roles, 14, disturb)


def test_slow_engines(network: tuple[Cluster, dict[str, Proxy]]) -> None:
    roles, proxies = network

    def disturb() -> None:
        for proxy in proxies.values():
            proxy.delay_s = 0.2
            time.sleep(3)
            proxy.delay_s = 0.0

    survives(roles, 20, disturb)


def port_of(engine: str) -> str:
    """Where an engine of the stack listens."""
    return told_of(engine)[3]


def test_redis_forgets_everything(roles: Cluster) -> None:
    def disturb() -> None:
        for _ in range(3):
            with flushed():
                time.sleep(1)

    survives(roles, 8, disturb)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param((killing("gateway"), killing("relay")), id="gateway-and-relay"),
        pytest.param((killing("ingest"), killing("notifier")), id="ingest-and-notifier"),
        pytest.param((killing("worker"), stopping("pg1")), id="worker-and-pg1"),
        pytest.param((killing("relay"), striking("pg2")), id="relay-and-pg2"),
        pytest.param((killing("deliver"), stopping("rabbitmq")), id="deliver-and-rabbitmq"),
        pytest.param((killing("notifier"), striking("redis")), id="notifier-and-redis"),
        pytest.param((striking("kafka"), forgetting()), id="kafka-and-flush"),
        pytest.param((striking("kafka"), striking("pg0")), id="kafka-and-pg0"),
    ],
)
def test_two_at_once(roles: Cluster, faults: Sequence[Fault]) -> None:
    def disturb() -> None:
        with contextlib.ExitStack() as under_way:
            for fault in faults:
                under_way.enter_context(fault(roles))
            time.sleep(2)

    survives(roles, 12, disturb)


def test_a_second_consumer_joins_and_leaves(roles: Cluster) -> None:
    def disturb() -> None:
        for role in ("ingest", "notifier", "worker"):
            roles.start(f"second {role}", role)
        time.sleep(6)
        for role in ("ingest", "notifier", "worker"):
            roles.stop(f"second {role}")

    survives(roles, 20, disturb)

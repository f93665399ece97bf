"""What surrounds the contract: problems, limits, health, metrics, the description."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from typing import cast

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from support.clock import FakeClock
from support.server import Person, receive, serving
from tasktide.adapters.prometheus.metrics import PrometheusMetrics
from tasktide.domain.errors import Unavailable
from tasktide.domain.rates import parse_tiers
from tasktide.ports.tasks import TaskStore
from tasktide.roles.table import ROLES, needs
from tasktide.usecases.stats import Stats

PROTECTED = [
    ("POST", "/auth/logout"), ("GET", "/auth/me"), ("PATCH", "/auth/me"), ("GET", "/users"), ("GET", "/users/1"),
    ("PATCH", "/users/1"), ("POST", "/tasks"), ("POST", "/tasks/batch"), ("GET", "/tasks"), ("GET", "/tasks/1"),
    ("GET", "/tasks/1/result"), ("PUT", "/tasks/1"), ("PATCH", "/tasks/1"), ("DELETE", "/tasks/1"),
    ("POST", "/tasks/1/retry"), ("POST", "/tasks/1/cancel"), ("GET", "/tasks/1/history"), ("GET", "/notifications"),
    ("POST", "/notifications/1/read"), ("POST", "/notifications/read-all"), ("POST", "/notifications"),
    ("POST", "/notifications/batch"), ("GET", "/notifications/preferences"), ("PUT", "/notifications/preferences"),
    ("GET", "/events"), ("GET", "/letters"), ("GET", "/letters/1"), ("POST", "/letters/1/replay"),
    ("DELETE", "/letters/1"), ("GET", "/notifications/webhook"), ("PUT", "/notifications/webhook"),
    ("DELETE", "/notifications/webhook"), ("POST", "/notifications/webhook/test"),
]  # fmt: skip
PUBLIC = {
    "/auth/register", "/auth/login", "/health", "/health/liveness", "/health/readiness", "/livez", "/readyz",
    "/metrics",
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_every_route_needs_a_token(anonymous: httpx.Client, admin: Person, method: str, path: str) -> None:
    answer = anonymous.request(method, path, json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_route_was_forgotten(anonymous: httpx.Client, admin: Person) -> None:
    paths = anonymous.get("/openapi.json").json()["paths"]
    described = {(method.upper(), path.split("{")[0]) for path, methods in paths.items() for method in methods}
    known = {(method, path.split("1")[0]) for method, path in PROTECTED}
    assert {path for _, path in described - known} == PUBLIC


def test_members_see_no_dead_letters(ann: Person, admin: Person) -> None:
    for method, path in (
        ("GET", "/letters"),
        ("GET", "/letters/1"),
        ("POST", "/letters/1/replay"),
        ("DELETE", "/letters/1"),
    ):
        assert ann.http.request(method, path).status_code == 403
    assert admin.http.get("/letters").json() == {"items": [], "next_cursor": None}
    assert admin.http.get("/letters/1").status_code == 404


def test_an_ipv6_network_counts_as_one_client(tmp_path: Path) -> None:
    tiers = parse_tiers("4/60s")
    with serving(tmp_path / "d", rate_limiting=True, rate_anonymous=tiers, trusted_proxies="127.0.0.1") as where:

        def come(address: str) -> int:
            return httpx.get(f"{where}/health", headers={"x-forwarded-for": address}).status_code

        codes = [come(f"2001:db8:1:2::{number:x}") for number in range(6)]
        assert codes == [200] * 4 + [429] * 2
        assert come("2001:db8:1:3::1") == 200
        assert [come(f"::ffff:192.0.2.{number}") for number in range(1, 7)] == [200] * 6


def test_unknown_paths_and_methods(ann: Person) -> None:
    assert ann.http.get("/nothing/here").json()["code"] == "not_found"
    answer = ann.http.delete("/tasks")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= {method.strip() for method in answer.headers["allow"].split(",")}
    assert ann.http.get("/tasks/batch").headers["allow"] == ann.http.options("/tasks/batch").headers["allow"]
    assert "GET" not in ann.http.get("/tasks/batch").headers["allow"]
    assert "GET" in ann.http.post("/tasks/1").headers["allow"]
    for path in ("/events", "/events/", "//events"):
        assert ann.http.head(str(ann.http.base_url).rstrip("/") + path, timeout=5).status_code == 405
    assert ann.http.get("/tasks//", params={"limit": 1}).status_code == 200
    packed = ann.http.post("/tasks", content=b"{}", headers={"content-encoding": "gzip"})
    assert (packed.status_code, packed.json()["code"]) == (415, "unsupported_media_type")


def test_a_request_id_is_taken_or_made(anonymous: httpx.Client, admin: Person) -> None:
    given = anonymous.get("/tasks", headers={"x-request-id": "abc-123"})
    assert given.headers["x-request-id"] == given.json()["trace_id"] == "abc-123"
    odd = anonymous.get("/tasks", headers={"x-request-id": "a b<script>"})
    assert odd.headers["x-request-id"] == odd.json()["trace_id"] != "a b<script>"
    assert len(odd.json()["trace_id"]) == 32


def test_security_headers(anonymous: httpx.Client, admin: Person) -> None:
    for path in ("/tasks", "/docs", "/livez", "/nothing"):
        headers = anonymous.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_health_tells_of_every_engine(anonymous: httpx.Client, admin: Person) -> None:
    health = anonymous.get("/health").json()
    assert health["status"] == "ok"
    assert health["engines"]["sqlite"]["latency_ms"] >= 0
    for path in ("/health/liveness", "/livez", "/health/readiness", "/readyz"):
        assert anonymous.get(path).status_code == 200


def test_a_mail_server_that_is_away_is_told_and_does_not_make_the_process_unready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with serving(tmp_path / "data", smtp_url=f"smtp://127.0.0.1:{port}") as address:
        health = httpx.get(f"{address}/health")
        assert health.status_code == 503
        assert health.json()["engines"]["sqlite"]["status"] == "ok"
        away = health.json()["engines"]["smtp"]
        assert away["status"] == "unavailable"
        assert away["error"] == "does not answer as it should"  # where it is, is nobody's business
        ready = httpx.get(f"{address}/readyz")
        assert ready.status_code == 200
        assert set(ready.json()["engines"]) == {"sqlite"}


def test_a_process_is_ready_by_what_its_roles_need() -> None:
    assert needs([ROLES["ingest"]]) == {"store", "log"}
    assert needs([ROLES["ingest"], ROLES["deliver"]]) == {"store", "log", "jobs", "mail"}
    assert needs(ROLES.values()) == needs([ROLES["gateway"]]) == {"store", "log"}


async def test_an_engine_is_asked_once_a_second_however_many_ask() -> None:
    clock, asked = FakeClock(), 0

    async def ping() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        if asked == 2:
            raise Unavailable("kafka", "it is away")

    stats = Stats(
        store=cast("TaskStore", None),
        metrics=PrometheusMetrics(),
        clock=clock,
        pings={"kafka": ping, "redis": ping},
        needs={"kafka"},
        stalled=list,
    )
    first = await asyncio.gather(*(stats.readiness() for _ in range(50)))
    assert asked == 1
    assert {one.status for one in first} == {"ok"}
    clock.advance(1)
    assert not (await stats.readiness()).is_ok
    assert not (await stats.readiness()).is_ok
    assert asked == 2
    assert set((await stats.health()).engines) == {"kafka", "redis"}
    assert asked == 3


def test_metrics_are_json_or_prometheus_text(anonymous: httpx.Client, ann: Person) -> None:
    before = anonymous.get("/metrics").json()
    assert before.keys() == {"totalTasks", "averageProcessingTimeMs"}
    ann.finished(ann.submit(payload="x")["id"])
    assert (
        anonymous.get("/metrics", headers={"accept": "application/json"}).json()["totalTasks"]
        == before["totalTasks"] + 1
    )
    text = anonymous.get("/metrics", headers={"accept": "text/plain"})
    assert text.headers["content-type"].startswith("text/plain")
    for pipeline in ("ingest", "feed", "inbox", "worker"):
        assert f'tasktide_pipeline_records_total{{pipeline="{pipeline}"}}' in text.text
    openmetrics = anonymous.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert openmetrics.text.endswith("# EOF\n")


def test_the_description_is_complete_and_the_explorer_loads_nothing_from_elsewhere(anonymous: httpx.Client) -> None:
    described = anonymous.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert described["components"]["schemas"]["NewTask"]["examples"]
    page = anonymous.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http" not in page.text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "explorer.js"):
        assert f"/docs/{name}" in page.text
        assert anonymous.get(f"/docs/{name}").status_code == 200
    assert anonymous.get("/docs/../body.py").status_code == 404
    assert anonymous.get("/docs/..%2fbody.py").status_code == 404


def test_rate_limits_hold_tier_by_tier_and_say_so(tmp_path: Path) -> None:
    tiers = parse_tiers("3/1s, 5/60s")
    with serving(
        tmp_path / "d", rate_limiting=True, rate_anonymous=tiers, rate_signed_in=parse_tiers("6/60s")
    ) as where:
        with httpx.Client(base_url=where) as anonymous:
            body = {"email": "a@example.org", "name": "A", "password": "12345678"}
            assert anonymous.post("/auth/register", json=body).status_code == 201
            signed = anonymous.post("/auth/login", json={"email": "a@example.org", "password": "12345678"})
            assert signed.headers["ratelimit-policy"] == '"1s";q=3;w=1, "60s";q=5;w=60'
            assert anonymous.get("/health").status_code == 200
            refused = anonymous.get("/health")
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert refused.headers["ratelimit"].startswith('"1s";r=0;t=1')
            time.sleep(int(refused.headers["retry-after"]))
            assert [anonymous.get("/health").status_code for _ in range(3)] == [200, 200, 429]
            assert int(anonymous.get("/health").headers["retry-after"]) > 50
            for path in (
                "/livez",
                "/readyz",
                "/health/liveness",
                "/health/readiness",
                "/metrics",
                "/docs",
                "/openapi.json",
            ):
                assert anonymous.get(path).status_code == 200
        with httpx.Client(base_url=where, headers={"authorization": f"Bearer {signed.json()['token']}"}) as ann:
            assert [ann.get("/tasks").status_code for _ in range(7)] == [200] * 6 + [429]


@pytest.mark.parametrize("path", ["/auth/login", "/auth/login/", "//auth/login", "/auth//login", "/auth/%6cogin"])
def test_passwords_are_guessed_by_address_however_the_path_is_spelt(tmp_path: Path, path: str) -> None:
    with serving(
        tmp_path / "d", rate_limiting=True, rate_anonymous=parse_tiers("4/60s"), rate_signed_in=parse_tiers("99/1s")
    ) as where:
        with httpx.Client(base_url=where) as anonymous:
            known = {"email": "a@example.org", "password": "12345678"}
            assert anonymous.post("/auth/register", json=known | {"name": "A"}).status_code == 201
            token = anonymous.post("/auth/login", json=known).json()["token"]
        with httpx.Client(base_url=where, headers={"authorization": f"Bearer {token}"}) as ann:
            guesses = [ann.post(where + path, json=known | {"password": "wrong one"}).status_code for _ in range(4)]
    assert guesses == [401, 401, 429, 429]


def test_cross_origin_requests_are_for_those_named(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "d", cors_origins=("https://app.example.org",)) as where,
        httpx.Client(base_url=where) as client,
    ):
        asks = {"origin": "https://app.example.org", "access-control-request-method": "POST"}
        assert (
            client.options("/tasks", headers=asks).headers["access-control-allow-origin"] == "https://app.example.org"
        )
        refused = client.get("/tasks", headers={"origin": "https://app.example.org"})
        assert refused.headers["access-control-allow-origin"] == "https://app.example.org"
        other = client.get("/livez", headers={"origin": "https://evil.example.org"})
        assert other.headers.get("access-control-allow-origin") != "https://evil.example.org"


def test_a_client_that_sends_its_body_too_slowly_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path / "d", body_timeout_s=1, socket_auth_timeout_s=1) as where:
        ann = Person(where, "ann")
        host, port = where.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            head = (
                f"POST /tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann.token}\r\ncontent-length: 50\r\n\r\n{{"
            )
            raw.sendall(head.encode())
            assert raw.recv(4_096).startswith(b"HTTP/1.1 408 ")
        with connect(f"{where.replace('http', 'ws')}/tasks/notifications") as silent:
            with pytest.raises(ConnectionClosed) as closed:
                silent.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4408
        with ann.listen() as live:
            live.send('{"type": "ping"}')
            assert receive(live) == {"type": "pong"}
        ann.close()


def test_sockets_that_do_not_sign_in_make_room_for_those_that_do(tmp_path: Path) -> None:
    with serving(tmp_path / "d", sockets_signing_in=4) as where:
        ann = Person(where, "ann")
        sockets = where.replace("http", "ws")
        with contextlib.ExitStack() as stack:

            def silent(path: str, *subprotocols: Subprotocol) -> ClientConnection:
                return stack.enter_context(connect(f"{sockets}{path}", subprotocols=subprotocols or None))

            oldest = silent("/tasks/notifications"), silent("/graphql", Subprotocol("graphql-transport-ws"))
            newer = [silent("/tasks/notifications") for _ in range(4)]
            for one in oldest:
                with pytest.raises(ConnectionClosed) as closed:
                    one.recv(timeout=10)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4408
            # Those that have signed in take no room: the newest one that has not is still there.
            for _ in range(3):
                stack.enter_context(ann.listen())
            newer[-1].send('{"type": "ping"}')
            assert receive(newer[-1]) == {"type": "pong"}
        ann.close()

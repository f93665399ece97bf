"""The short ways mean what the long ones mean."""

import asyncio
import contextlib
import json
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.server import Person, receive, serving
from tasktide.adapters.memory.limits import MemoryLimits
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.domain.rates import Tier
from tasktide.interfaces import swift
from tasktide.interfaces.swift import Swift
from tasktide.interfaces.websocket.session import frame_head
from tasktide.ports.stopping import Stopping
from tasktide.roles import server
from tasktide.usecases.submissions import Submissions
from tasktide.usecases.tasks import Tasks

VARYING = {"x-request-id", "date", "ratelimit", "location"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("ways"), rate_limiting=True, message_length=100_000) as where:
        yield where


@pytest.fixture(scope="module")
def ann(address: str) -> Iterator[Person]:
    person = Person(address, "ann")
    yield person
    person.close()


@contextlib.contextmanager
def serving_again() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as where:
        yield where


class Raw:
    """A connection on which bytes are sent as they are."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.file = self.socket.makefile("rb")

    def ask(self, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
        for part in parts:
            self.socket.sendall(part)
        return self.answer()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self.file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(": ")
            assert name not in headers, name
            headers[name] = value
        return status, headers, self.file.read(int(headers.get("content-length", "0")))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def raw(address: str) -> Iterator[Raw]:
    connection = Raw(address)
    yield connection
    connection.close()


def request(ann: Person, line: str, body: bytes = b"", *extra: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "host: x", f"authorization: Bearer {ann.token}", *extra]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


CASES: list[tuple[str, bytes]] = [
    ("POST /tasks", b'{"title":"one","performer_id":1,"labels":["a"]}'),
    ("POST /tasks", b'{"title":"","priority":11,"performer_id":77}'),
    ("POST /tasks", b'{"title":"one"'),
    ("POST /tasks", b'{"tittle":"one"}'),
    ("POST /tasks", b"[]"),
    ("POST /tasks/batch", b'[{"title":"a"},{"title":"b"}]'),
    ("POST /tasks/batch", b'[{"title":"a"},{"title":3},{"performer_id":9,"title":"x"}]'),
    ("POST /notifications", b'{"user_ids":[1],"message":"m"}'),
    ("POST /notifications", b'{"user_ids":[99],"message":""}'),
    ("POST /notifications/batch", b'[{"user_ids":"all","message":"m"}]'),
    ("GET /tasks/1", b""),
    ("GET /tasks/01", b""),
    ("GET /tasks/999999", b""),
    ("GET /tasks/99999999999999999999", b""),
    ("GET /tasks/batch", b""),
    ("GET /nothing", b""),
    ("POST /tasks/1", b"{}"),
]


@pytest.mark.parametrize(("line", "body"), CASES)
def test_the_lean_way_answers_as_the_framework_does(ann: Person, raw: Raw, line: str, body: bytes) -> None:
    if not ann.http.get("/tasks", params={"limit": 1}).json()["items"]:
        ann.submit(title="the first")
    # Seen for the first time, and again: by the parser, then by its lines alone.
    answers = [raw.ask(request(ann, line, body)) for _ in range(3)]
    # The same with an empty query goes through the framework, and was not learned from.
    method, path = line.split()
    long = raw.ask(request(ann, f"{method} {path}/", body, "x-request-id: long"))
    for status, headers, answer in answers:
        assert status == long[0], (answer, long[2])
        assert headers.keys() == long[1].keys()
        assert {k: v for k, v in headers.items() if k not in VARYING and k != "content-length"} == {
            k: v for k, v in long[1].items() if k not in VARYING and k != "content-length"
        }
        assert shape(answer) == shape(long[2])


def shape(body: bytes) -> Any:
    """An answer without what differs from one request to the next."""
    decoded = json.loads(body) if body else None
    if isinstance(decoded, dict):
        for name in ("id", "ids", "created_at", "updated_at", "trace_id"):
            decoded.pop(name, None)
    return decoded


def test_requests_in_one_piece_in_many_and_one_behind_the_other(ann: Person, raw: Raw) -> None:
    body = b'{"title":"\\u000d\\u000a in the middle of it"}'
    assert raw.ask(request(ann, "POST /tasks", b'{"title":"x"}'))[0] == 202
    whole = request(ann, "POST /tasks", b'{"title":"x"}')
    assert raw.ask(whole)[0] == 202
    raw.socket.sendall(whole + whole)
    assert [raw.answer()[0], raw.answer()[0]] == [202, 202]
    raw.socket.sendall(whole + whole[:40])
    assert raw.answer()[0] == 202
    assert raw.ask(whole[40:])[0] == 202
    for cut in range(1, len(whole), 17):
        assert raw.ask(whole[:cut], whole[cut:])[0] == 202
    assert raw.ask(request(ann, "POST /tasks", body))[0] == 422
    assert raw.ask(request(ann, "POST /tasks", b'{"title":"a\r\n\r\nb"}'))[0] == 400


def test_a_token_is_dead_at_once_however_well_its_lines_are_known(address: str, raw: Raw) -> None:
    bob = Person(address, "bob")
    get = request(bob, "GET /tasks/1")
    assert [raw.ask(get)[0] for _ in range(3)] == [200, 200, 200]
    assert bob.http.post("/auth/logout").status_code == 204
    assert raw.ask(get)[0] == 401
    bob.close()


def test_a_close_is_heeded_behind_known_lines(ann: Person, raw: Raw) -> None:
    get = request(ann, "GET /tasks/1")
    assert raw.ask(get)[0] == raw.ask(get)[0] == 200
    status, headers, _ = raw.ask(request(ann, "GET /tasks/1", b"", "connection: close"))
    assert (status, headers["connection"]) == (200, "close")
    assert raw.socket.recv(1) == b""


def test_empty_lines_before_a_request_are_overlooked(ann: Person, raw: Raw) -> None:
    raw.socket.sendall(b"\r\n")
    with contextlib.suppress(TimeoutError):
        raw.socket.settimeout(0.2)
        raw.socket.recv(1)
    raw.socket.settimeout(10)
    assert raw.ask(request(ann, "GET /tasks/1"))[0] == 200
    raw.socket.sendall(b"\r\n")
    assert raw.ask(request(ann, "GET /tasks/1"))[0] == 200


def test_lines_that_end_a_connection_end_it_each_time(ann: Person, address: str) -> None:
    for _ in range(3):
        connection = Raw(address)
        status, headers, _ = connection.ask(request(ann, "GET /tasks/1", b"", "proxy-connection: close"))
        assert (status, headers.get("connection")) == (200, "close")
        connection.close()


def test_pages_of_other_origins_are_let_in_each_time(tmp_path: Path) -> None:
    with serving(tmp_path, cors_origins=("https://example.org",)) as address:
        cleo, connection = Person(address, "cleo"), Raw(address)
        cleo.submit(title="x")
        for _ in range(3):
            status, headers, _ = connection.ask(request(cleo, "GET /tasks/1", b"", "origin: https://example.org"))
            assert (status, headers.get("access-control-allow-origin")) == (200, "https://example.org")
        connection.close()
        cleo.close()


def test_a_client_that_never_finishes_a_head_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(server, "HEAD_S", 0.5)
        with serving_again() as address:
            slow = Raw(address)
            slow.socket.sendall(b"GET /tasks/1 HTT")
            assert slow.socket.recv(1) == b""
            slow.close()


@pytest.mark.parametrize("size", [1, 125 - 60, 126, 200, 65_300, 65_536, 70_000])
def test_frames_of_every_length_arrive_whole(ann: Person, size: int) -> None:
    with ann.listen() as listening:
        sent = ann.http.post("/notifications", json={"user_ids": [ann.id], "message": "m" * size})
        assert sent.status_code == 202
        while (frame := receive(listening))["message"] != "m" * size:
            assert frame["type"] == "notification"


@pytest.mark.parametrize(("size", "head"), [
    (125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (65_535, b"\x81\x7e\xff\xff"),
    (65_536, b"\x81\x7f" + (65_536).to_bytes(8, "big")),
])  # fmt: skip
def test_the_head_of_a_frame_tells_its_length(size: int, head: bytes) -> None:
    assert frame_head(size) == head


ENDLESS = {
    "header": (b"GET /livez HTTP/1.1\r\nhost: x\r\nx-a: ", b"a" * 4_096),
    "headers": (b"GET /livez HTTP/1.1\r\nhost: x\r\n", b"x-a: a\r\n" * 512),
    "target": (b"GET /", b"a" * 4_096),
    "extension": (b"POST /tasks HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a" * 4_096),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_cut_off(address: str, raw: Raw, what: str) -> None:
    begin, piece = ENDLESS[what]
    sent = 0
    with contextlib.suppress(ConnectionError):
        raw.socket.sendall(begin)
        for _ in range(1_000):
            raw.socket.sendall(piece)
            sent += len(piece)
    assert sent < 1_000 * len(piece), "it was read to the end"
    other = Raw(address)
    assert other.ask(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")[0] == 200
    other.close()


def test_a_head_that_is_too_long_is_told_so(raw: Raw) -> None:
    status, headers, body = raw.ask(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-a: ", b"a" * 66_000)
    assert (status, headers["connection"]) == (431, "close")
    assert json.loads(body)["code"] == "too_large"


@pytest.mark.parametrize(
    "line", [b"FOO /tasks HTTP/1.1", b"GET /tasks?q=\xff HTTP/1.1", b"GET / HTTP/9.9", b"\x16\x03"]
)
def test_what_is_no_http_is_told_so_as_a_problem(raw: Raw, line: bytes) -> None:
    status, headers, body = raw.ask(line + b"\r\nhost: x\r\n\r\n")
    assert (status, headers["connection"]) == (400, "close")
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "malformed"


@pytest.mark.parametrize(("length", "status"), [(b"0" * 4_300 + b"2", 400), (b"9" * 18, 413)])
def test_a_length_with_too_many_digits_is_refused(raw: Raw, length: bytes, status: int) -> None:
    asked = b"POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
    assert raw.ask(asked + b"content-length: " + length + b"\r\n\r\n")[0] == status


def test_blanks_around_a_header_do_not_belong_to_it(ann: Person, raw: Raw) -> None:
    first = raw.ask(request(ann, "POST /tasks", b'{"title":"once"}', "idempotency-key: blank"))
    again = raw.ask(request(ann, "POST /tasks", b'{"title":"once"}', "idempotency-key:  blank \t"))
    assert first[0] == again[0] == 202
    assert json.loads(first[2]) == json.loads(again[2])


@pytest.mark.parametrize("order", [1, -1])
def test_header_lines_of_one_name_are_one_list(ann: Person, raw: Raw, order: int) -> None:
    task = ann.submit(title="tagged")["id"]
    for path in (f"/tasks/{task}", "/auth/me"):
        tag = ann.http.get(path).headers["etag"]
        lines = [f"if-none-match: {one}" for one in ('"77"', tag)][::order]
        assert raw.ask(request(ann, f"GET {path}", b"", *lines))[0] == 304
        lines = [f"if-match: {one}" for one in ('"77"', tag)][::order]
        assert raw.ask(request(ann, f"PATCH {path}", b"{}", *lines))[0] == 200


def test_a_long_body_in_small_pieces_is_no_endless_head(ann: Person, raw: Raw) -> None:
    body = json.dumps({"title": "x", "description": "d" * 200_000}).encode()
    whole = request(ann, "POST /tasks", body)
    status, _, answer = raw.ask(*(whole[start : start + 10_000] for start in range(0, len(whole), 10_000)))
    assert status == 422
    assert json.loads(answer)["errors"][0]["field"] == "description"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each request that came whole behind known lines: whether the swift way took it."""
    found: list[bool] = []
    take = Swift.take

    def spied(self: Swift, *arguments: Any) -> bool:
        found.append(take(self, *arguments))
        return found[-1]

    monkeypatch.setattr(Swift, "take", spied)
    return found


def test_submissions_of_a_known_client_take_the_swift_way(ann: Person, raw: Raw, taken: list[bool]) -> None:
    submit = request(ann, "POST /tasks", b'{"title":"swift","performer_id":%d}' % ann.id)
    answers = [raw.ask(submit) for _ in range(4)]
    assert taken[-2:] == [True, True]
    paths = [headers["location"] for _, headers, _ in answers]
    assert len(set(paths)) == 4
    for path, (status, _, body) in zip(paths, answers, strict=True):
        assert status == 202
        assert ann.http.get(path).json() == json.loads(body)
    raw.socket.sendall(submit + request(ann, "GET /tasks/1"))
    assert [raw.answer()[0], raw.answer()[0]] == [202, 200]


def test_what_is_wrong_is_left_to_the_ordinary_way(ann: Person, raw: Raw, taken: list[bool]) -> None:
    for body in (b'{"title":""}', b'{"title":1}', b'{"title":', b"", b'{"title":"x","performer_id":99999}'):
        wrong = request(ann, "POST /tasks", body, "x-case: 1")
        statuses = {raw.ask(wrong)[0] for _ in range(3)}
        assert statuses <= {400, 422}
    assert not any(taken)


def test_the_limit_of_requests_holds_on_the_swift_way(tmp_path: Path, taken: list[bool]) -> None:
    with serving(tmp_path, rate_limiting=True, rate_signed_in=(Tier(12, 600),)) as address:
        dora, connection = Person(address, "dora"), Raw(address)
        submit = request(dora, "POST /tasks", b'{"title":"x"}')
        answers = [connection.ask(submit) for _ in range(15)]
        assert [status for status, _, _ in answers] == [202] * 12 + [429] * 3
        assert taken.count(True) >= 10
        long = connection.ask(request(dora, "POST /tasks/", b'{"title":"x"}', "x-request-id: long"))
        assert long[0] == 429
        _, headers, body = answers[-1]
        assert headers.keys() == long[1].keys()
        assert headers["ratelimit"].startswith('"600s";r=0;')
        assert json.loads(body)["code"] == json.loads(long[2])["code"] == "rate_limited"
        connection.close()
        dora.close()


def test_who_leaves_before_the_answer_hurts_nobody(ann: Person, address: str, taken: list[bool]) -> None:
    submit = request(ann, "POST /tasks", b'{"title":"gone"}')
    for _ in range(20):
        leaving = Raw(address)
        leaving.socket.sendall(submit)
        leaving.close()
    staying = Raw(address)
    assert [staying.ask(submit)[0] for _ in range(3)] == [202] * 3
    staying.close()
    assert any(taken)


def test_a_server_that_stops_answers_what_it_took(tmp_path: Path, taken: list[bool]) -> None:
    with serving(tmp_path) as address:
        emil = Person(address, "emil")
        submit = request(emil, "POST /tasks", b'{"title":"x"}')
        lines = [Raw(address) for _ in range(20)]
        for _ in range(3):
            assert {line.ask(submit)[0] for line in lines} == {202}
        emil.close()
        for line in lines:
            line.socket.sendall(submit)
        assert lines[0].answer()[0] == 202  # and the others have been read with it
    for line in lines[1:]:
        assert line.answer()[0] == 202
    for line in lines:
        line.close()
    assert taken[-20:] == [True] * 20


def test_a_server_that_stops_waits_no_longer_for_the_log_than_for_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    monkeypatch.setattr(server, "DRAIN_S", 1)
    with serving(tmp_path) as address:
        fay, connection = Person(address, "fay"), Raw(address)
        submit = request(fay, "POST /tasks", b'{"title":"x"}')
        assert [connection.ask(submit)[0] for _ in range(3)] == [202] * 3
        fay.close()
        with monkeypatch.context() as patched:
            patched.setattr(SqliteLog, "begin", lambda *_: asyncio.get_running_loop().create_future())
            connection.socket.sendall(submit)
            while len(taken) < 3:
                time.sleep(0.01)
    status, headers, body = connection.answer()
    assert (status, headers["connection"], json.loads(body)["code"]) == (500, "close", "internal")
    assert connection.socket.recv(1) == b""
    connection.close()


def test_a_server_that_stops_cuts_off_what_takes_too_long_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DRAIN_S", 1)
    begun: list[None] = []

    async def stuck(*_: Any, **__: Any) -> None:
        begun.append(None)
        await asyncio.sleep(60)

    with serving(tmp_path) as address:
        fay, reading, writing = Person(address, "fay"), Raw(address), Raw(address)
        fay.close()
        with monkeypatch.context() as patched:
            patched.setattr(Tasks, "get", stuck)
            patched.setattr(Submissions, "submit", stuck)
            reading.socket.sendall(request(fay, "GET /tasks/7"))
            writing.socket.sendall(request(fay, "POST /tasks", b'{"title":"x"}', "x-request-id: y"))
            while len(begun) < 2:
                time.sleep(0.01)
    status, headers, body = reading.answer()
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "1", "unavailable")
    status, headers, body = writing.answer()
    assert (status, json.loads(body)["code"]) == (500, "internal")
    assert "may have been done" in json.loads(body)["detail"]
    reading.close()
    writing.close()


def test_a_long_poll_that_comes_while_the_server_stops_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce = Stopping.announce
    with serving(tmp_path) as address:
        fay, polling = Person(address, "fay"), Raw(address)
        number = fay.submit(handler="sleep", payload={"seconds": 60})["id"]
        polls = request(fay, f"GET /tasks/{number}/result?wait=30")
        assert polling.ask(request(fay, f"GET /tasks/{number}"))[0] == 200
        fay.close()

        async def announced(self: Stopping) -> None:
            await announce(self)
            polling.socket.sendall(polls)
            await asyncio.sleep(0.2)

        monkeypatch.setattr(Stopping, "announce", announced)
    status, _, body = polling.answer()
    assert (status, json.loads(body)["status"] in {"pending", "in_progress"}) == (202, True)
    polling.close()


@pytest.mark.parametrize(
    ("where", "name"),
    [(Submissions, "_check_one"), (MemoryLimits, "hit_now"), (SqliteLog, "begin"), (swift, "accepted")],
)
def test_what_fails_on_the_swift_way_is_answered(
    ann: Person, raw: Raw, taken: list[bool], monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    submit = request(ann, "POST /tasks", b'{"title":"x"}')
    assert [raw.ask(submit)[0] for _ in range(3)] == [202] * 3
    with monkeypatch.context() as patched:
        patched.setattr(where, name, broken)
        status, _, body = raw.ask(submit)
    assert (status, json.loads(body)["code"]) == (500, "internal")
    assert raw.ask(submit)[0] == 202
    assert len(taken) >= 4


def broken(*_: Any) -> None:
    raise ZeroDivisionError


def test_a_large_submission_takes_the_ordinary_way(ann: Person, raw: Raw, taken: list[bool]) -> None:
    submit = request(ann, "POST /tasks", json.dumps({"title": "x", "description": "d" * 9_000}).encode())
    assert [raw.ask(submit)[0] for _ in range(3)] == [202] * 3
    assert not taken


def test_who_takes_nothing_of_an_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 1.0)
    monkeypatch.setattr(server, "UNREAD_S", 1.0)
    with serving(tmp_path / "data") as where:
        ann = Person(where, "ann")
        later = "2099-01-01T00:00:00Z"
        batch = [{"title": f"t{n}", "payload": "x" * 60_000, "run_at": later} for n in range(200)]
        assert ann.http.post("/tasks/batch", json=batch).status_code == 202
        assert len(ann.http.get("/tasks", params={"limit": 200}).json()["items"]) == 200
        host, port = where.removeprefix("http://").split(":")
        with contextlib.ExitStack() as stack:
            lazy = stack.enter_context(socket.socket())
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            lazy.connect((host, int(port)))
            head = f"GET /tasks?limit=200 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann.token}\r\n\r\n"
            lazy.sendall(head.encode())
            time.sleep(4)
            lazy.settimeout(5)
            taken = 0
            with contextlib.suppress(ConnectionResetError):
                while piece := lazy.recv(65_536):
                    taken += len(piece)
            assert taken < 11_000_000, "the rest was not kept for it"
        slow = ann.client(ann.token)
        with slow.stream("GET", "/tasks", params={"limit": 200}) as answer:
            taken = 0
            for count, piece in enumerate(answer.iter_bytes(1_000_000)):
                taken += len(piece)
                time.sleep(0.4 if count < 6 else 0)
        assert taken > 12_000_000, "who is slow gets it all"
        ann.close()

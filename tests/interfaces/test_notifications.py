"""Notifications and live streams over the network."""

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from support.server import Person, receive


def test_everyone_concerned_is_told_once(ann: Person, bob: Person, admin: Person) -> None:
    task = ann.submit(title="Plants", performer_id=bob.id, observer_ids=[admin.id, bob.id])
    bob.http.patch(f"/tasks/{task['id']}", json={"status": "done"})
    [assigned] = bob.inbox(1)
    assert (assigned["kind"], assigned["task_id"], assigned["user_id"]) == ("task.assigned", task["id"], bob.id)
    [completed] = ann.inbox(1)
    assert (completed["kind"], completed["read_at"]) == ("task.completed", None)
    page = bob.http.get("/notifications").json()
    assert page.keys() == {"items", "next_cursor", "unread_count"}
    assert [one["kind"] for one in page["items"]] == ["task.assigned"]


def test_the_inbox_is_paged_read_and_counted(admin: Person, ann: Person) -> None:
    body = [{"user_ids": [ann.id], "message": f"Message {n}"} for n in range(5)]
    assert admin.http.post("/notifications/batch", json=body).json() == {"accepted": 5}
    ids = [one["id"] for one in ann.inbox(5)]
    assert ids == sorted(set(ids))
    page = ann.http.get("/notifications", params={"limit": 2})
    assert [one["id"] for one in page.json()["items"]] == ids[:2:-1]
    assert page.json()["unread_count"] == 5
    rest = ann.http.get(page.links["next"]["url"]).json()
    assert [one["id"] for one in rest["items"]] == [ids[2], ids[1]]
    after = ann.http.get("/notifications", params={"after": ids[1], "limit": 2}).json()
    assert [one["id"] for one in after["items"]] == [ids[2], ids[3]]
    read = ann.http.post(f"/notifications/{ids[0]}/read")
    assert (read.status_code, read.json()["read_at"] is not None) == (200, True)
    assert admin.http.post(f"/notifications/{ids[0]}/read").status_code == 404
    unread = ann.http.get("/notifications", params={"unread": "true"}).json()
    assert ([one["id"] for one in unread["items"]], unread["unread_count"]) == (ids[:0:-1], 4)
    assert ann.http.post("/notifications/read-all").status_code == 204
    assert ann.http.get("/notifications").json()["unread_count"] == 0


def test_direct_notifications_are_the_admins(admin: Person, ann: Person, bob: Person) -> None:
    body = {"user_ids": [bob.id], "message": "Lunch"}
    assert ann.http.post("/notifications", json=body).status_code == 403
    assert ann.http.post("/notifications/batch", json=[body]).status_code == 403
    everyone = admin.http.post("/notifications", json={"user_ids": "all", "message": "Hello"})
    assert (everyone.status_code, everyone.json()["accepted"] >= 3) == (202, True)
    assert [one["message"] for one in bob.inbox(1)] == ["Hello"]
    keyed = [admin.http.post("/notifications", json=body, headers={"idempotency-key": "n1"}) for _ in range(2)]
    assert keyed[1].headers["idempotent-replayed"] == "true"
    assert [one["message"] for one in bob.inbox(2)] == ["Hello", "Lunch"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user_ids": [10**9], "message": "x"}, "user_ids"),
        ({"user_ids": [], "message": "x"}, "user_ids"),
        ({"user_ids": "some", "message": "x"}, "user_ids"),
        ({"user_ids": [0], "message": "x"}, "user_ids"),
        ({"user_ids": "all", "message": " "}, "message"),
        ({"user_ids": "all", "message": "x" * 2_001}, "message"),
        ({"user_ids": "all"}, "message"),
        ({"user_ids": "all", "message": "x", "kind": "odd"}, "kind"),
        ({"user_ids": "all", "message": "x", "task_id": 0}, "task_id"),
    ],
)
def test_bad_direct_notifications_name_the_field(admin: Person, body: dict[str, Any], field: str) -> None:
    answer = admin.http.post("/notifications", json=body)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


def test_preferences_mute_and_come_back(admin: Person, ann: Person) -> None:
    matrix = ann.http.get("/notifications/preferences").json()
    assert matrix["inbox"]["message"] is True
    assert matrix["email"]["message"] is False
    muted = ann.http.put("/notifications/preferences", json={"inbox": {"message": False}}).json()
    assert (muted["inbox"]["message"], muted["inbox"]["task.due"]) == (False, True)
    assert ann.http.get("/notifications/preferences").json() == muted
    admin.http.post("/notifications", json={"user_ids": [ann.id], "message": "unheard"})
    admin.http.post("/notifications", json={"user_ids": [ann.id], "message": "heard", "kind": "task.due"})
    assert [one["message"] for one in ann.inbox(1)] == ["heard"]
    wrong = ann.http.put("/notifications/preferences", json={"pigeon": {}, "email": {"odd": True}})
    assert [error["field"] for error in wrong.json()["errors"]] == ["pigeon", "email.odd"]


def test_of_two_who_change_the_same_preferences_one_is_told(ann: Person) -> None:
    def put(kind: str, tag: str) -> int:
        headers = {"if-match": tag, "authorization": f"Bearer {ann.token}"}
        url = f"{ann.http.base_url}/notifications/preferences"
        return httpx.put(url, json={"email": {kind: True}}, headers=headers).status_code

    kinds = ["task.due", "task.assigned", "task.failed", "task.completed"]
    for _ in range(5):
        tag = ann.http.put("/notifications/preferences", json={}).headers["etag"]
        with ThreadPoolExecutor(len(kinds)) as several:
            codes = list(several.map(lambda kind, tag=tag: put(kind, tag), kinds))
        assert sorted(codes) == [200, 412, 412, 412]
        assert put("message", tag) == 412


def test_a_live_socket_hears_at_once_and_resumes_without_a_gap(admin: Person, ann: Person) -> None:
    def tell(first: int, last: int) -> None:
        body = [{"user_ids": [ann.id], "message": str(n)} for n in range(first, last + 1)]
        assert admin.http.post("/notifications/batch", json=body).status_code == 202

    with ann.listen() as socket:
        tell(1, 3)
        heard = [receive(socket) for _ in range(3)]
        assert [one["message"] for one in heard] == ["1", "2", "3"]
        assert heard[0].keys() >= {"type", "id", "user_id", "kind", "task_id", "message", "created_at", "read_at"}
    tell(4, 450)
    with ann.listen(after=heard[1]["id"]) as socket:
        tell(451, 460)
        resumed = [receive(socket) for _ in range(458)]
    assert [one["message"] for one in resumed] == [str(n) for n in range(3, 461)]
    assert [one["id"] for one in resumed] == sorted({one["id"] for one in resumed})


def test_a_burst_larger_than_the_buffer_arrives_whole(admin: Person, ann: Person) -> None:
    with ann.listen() as socket:
        body = [{"user_ids": [ann.id], "message": str(n)} for n in range(5_000)]
        assert admin.http.post("/notifications/batch", json=body).status_code == 202
        assert [receive(socket)["message"] for _ in range(5_000)] == [str(n) for n in range(5_000)]


@contextlib.contextmanager
def socket_of(address: str) -> Iterator[ClientConnection]:
    with connect(f"{address.replace('http', 'ws')}/tasks/notifications") as socket:
        yield socket


def close_code(socket: ClientConnection) -> int:
    with contextlib.suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=10)
    assert socket.close_code is not None
    return socket.close_code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", 4400),
        ("{}", 4400),
        ('{"type": "authenticate"}', 4400),
        ('{"type": "authenticate", "token": "x", "after": -1}', 4400),
        ('{"type": "eat"}', 4400),
        (b"\xff\xfe", 4400),
        ("x" * 20_000, 4400),
        ('{"type": "authenticate", "token": "x"}', 4401),
        ('{"type": "authenticate", "token": "Bearer x"}', 4401),
    ],
)
def test_close_codes(address: str, admin: Person, frame: str | bytes, code: int) -> None:
    with socket_of(address) as socket:
        socket.send(frame)
        assert close_code(socket) == code


def test_ping_and_a_second_sign_in(address: str, ann: Person) -> None:
    with socket_of(address) as socket:
        socket.send('{"type": "ping"}')
        assert receive(socket) == {"type": "pong"}
        socket.send(json.dumps({"type": "authenticate", "token": f"Bearer {ann.token}"}))
        assert receive(socket) == {"type": "authenticated", "user_id": ann.id, "cursor": 0}
        socket.send('{"type": "ping"}')
        assert receive(socket) == {"type": "pong"}
        socket.send(json.dumps({"type": "authenticate", "token": ann.token}))
        assert close_code(socket) == 4400


def test_a_cursor_ahead_of_the_inbox_is_refused(address: str, ann: Person) -> None:
    with socket_of(address) as socket:
        socket.send(json.dumps({"type": "authenticate", "token": ann.token, "after": 10**9}))
        assert close_code(socket) == 4400
    answer = ann.http.get("/notifications?after=null")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "after")
    answer = ann.http.get("/events", headers={"last-event-id": str(10**9)})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


def test_logout_closes_the_socket_and_ends_the_event_stream(ann: Person) -> None:
    ended = threading.Event()

    def follow() -> None:
        with ann.http.stream("GET", "/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("event: error"):
                    ended.set()

    with ann.listen() as socket:
        following = threading.Thread(target=follow)
        following.start()
        other = ann.client(ann.token)
        while not _has_listener(other, "sse"):
            pass
        assert other.post("/auth/logout").status_code == 204
        assert close_code(socket) == 4401
        following.join(10)
    assert ended.is_set()


def _has_listener(client: httpx.Client, protocol: str) -> bool:
    text = client.get("/metrics", headers={"accept": "text/plain"}).text
    return f'tasktide_live_connections{{protocol="{protocol}"}} 1.0' in text


def events_of(person: Person, count: int, headers: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """The first so many notifications of the event stream: (id, message)."""
    found: list[tuple[str, str]] = []
    with person.http.stream("GET", "/events", headers=headers or {}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        number = ""
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = value
            if name == "data":
                found.append((number, json.loads(value)["message"]))
            if len(found) == count:
                break
    return found


def test_server_sent_events_resume(admin: Person, ann: Person) -> None:
    body = [{"user_ids": [ann.id], "message": str(n)} for n in range(5)]
    admin.http.post("/notifications/batch", json=body)
    ids = [one["id"] for one in ann.inbox(5)]
    all_of_them = events_of(ann, 5, {"last-event-id": "0"})
    assert all_of_them == [(str(number), str(n)) for n, number in enumerate(ids)]
    assert events_of(ann, 2, {"last-event-id": str(ids[2])}) == all_of_them[3:]
    assert ann.http.get("/events", headers={"last-event-id": "x"}).status_code == 422

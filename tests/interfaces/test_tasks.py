"""Tasks over HTTP: a test for each row of the contract."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.server import Person

FIELDS = {
    "id", "title", "description", "status", "priority", "labels", "creator_id", "performer_id", "observer_ids",
    "due_at", "handler", "payload", "run_at", "result", "error", "attempts", "max_attempts", "version", "created_at",
    "updated_at", "started_at", "finished_at",
}  # fmt: skip


def test_a_submitted_task_is_there_at_once(ann: Person, bob: Person) -> None:
    body = {
        "title": "Water the plants", "description": "all\nof them", "priority": 9, "labels": ["office"],
        "performer_id": bob.id, "observer_ids": [ann.id], "due_at": "2099-12-01T10:00:00+01:00",
    }  # fmt: skip
    answer = ann.http.post("/tasks", json=body)
    task = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/tasks/{task['id']}"
    assert task.keys() == FIELDS
    assert task["due_at"] == "2099-12-01T09:00:00.000Z"
    assert task["creator_id"] == ann.id
    assert bob.task(task["id"]) == task
    listed = ann.http.get("/tasks", params={"performer_id": bob.id}).json()["items"]
    assert listed == [task]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b'{"title": "x"', 400, None),
        (b'{"title": "\\ud800"}', 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"payload": "\xff"}', 400, None),
        (b'{"titel": 5, "x"', 400, None),
        (b'{"payload": 1e999}', 422, "payload"),
        (b"[]", 422, "body"),
        (b"null", 422, "body"),
        (b"{}", 422, "title"),
        (b'{"title": null}', 422, "title"),
        (b'{"title": 5}', 422, "title"),
        (b'{"title": "x", "titel": "y"}', 422, "titel"),
        (b'{"title": "x", "priority": "5"}', 422, "priority"),
        (b'{"title": "x", "priority": 1.5}', 422, "priority"),
        (b'{"title": "x", "priority": 99999999999999999999}', 422, "priority"),
        (b'{"title": "x", "labels": ["a", 5]}', 422, "labels[1]"),
        (b'{"title": "x", "status": "eaten"}', 422, "status"),
        (b'{"title": "x", "id": 5}', 422, "id"),
        (b'{"title": "x", "performer_id": 999999999}', 422, "performer_id"),
        (b'{"title": "x", "observer_ids": [1, 999999999]}', 422, "observer_ids[1]"),
        (b'{"title": "x", "handler": "none such"}', 422, "handler"),
    ],
)
def test_what_is_no_task_is_refused_by_field(ann: Person, body: bytes, status: int, field: str | None) -> None:
    answer = ann.http.post("/tasks", content=body, headers={"content-type": "application/json"})
    problem = answer.json()
    assert answer.status_code == status, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["trace_id"] == answer.headers["x-request-id"]
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])


def test_other_media_types_and_sizes(ann: Person) -> None:
    assert ann.http.post("/tasks", content=b"title=x", headers={"content-type": "text/plain"}).status_code == 415
    assert ann.http.post("/tasks", content=b'{"title": "x"}').status_code == 202
    large = b'{"title": "x", "description": "%b"}' % (b"y" * 9_000_000)
    assert ann.http.post("/tasks", content=large).status_code == 413

    def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 65_536

    assert ann.http.post("/tasks", content=chunks()).status_code == 413


def test_only_an_admin_creates_in_anothers_name(admin: Person, ann: Person, bob: Person) -> None:
    body = {"title": "x", "creator_id": bob.id}
    assert ann.http.post("/tasks", json=body).status_code == 403
    assert ann.submit(title="x", creator_id=ann.id)["creator_id"] == ann.id
    assert admin.submit(**body)["creator_id"] == bob.id


def test_a_batch_is_all_or_nothing(ann: Person) -> None:
    tasks = [{"title": f"Task {n}"} for n in range(50)]
    answer = ann.http.post("/tasks/batch", json=tasks)
    assert answer.status_code == 202
    ids = answer.json()["ids"]
    assert (answer.json()["accepted"], len(set(ids)), ids) == (50, 50, sorted(ids))
    assert ann.task(ids[49])["title"] == "Task 49"
    bad: list[Any] = [{"title": "fine"}, {"title": ""}, {"title": "x", "performer_id": 10**9}, {"nope": 1}, 5]
    answer = ann.http.post("/tasks/batch", json=bad)
    assert answer.status_code == 422
    wrong = [error["field"] for error in answer.json()["errors"]]
    assert wrong == ["[1].title", "[2].performer_id", "[3].nope", "[4].body"]
    many = ann.http.post("/tasks/batch", json=[{"nope": 1}] * 150).json()
    assert (len(many["errors"]), many["errors"][99]["field"]) == (100, "[99].nope")
    assert many["detail"].endswith("150 invalid fields; the first 100 are listed.")
    assert ann.http.get("/tasks", params={"creator_id": ann.id, "q": "fine"}).json()["items"] == []


def test_lines_of_json_and_ten_thousand_at_once(ann: Person) -> None:
    lines = "\r\n".join(json.dumps({"title": f"Line {n}", "performer_id": ann.id}) for n in range(10_000)) + "\n\n"
    headers = {"content-type": "application/x-ndjson"}
    answer = ann.http.post("/tasks/batch", content=lines, headers=headers)
    assert answer.json()["accepted"] == 10_000
    seen, cursor = set(), None
    while True:
        params = {"performer_id": ann.id, "limit": 200} | ({"cursor": cursor} if cursor else {})
        page = ann.http.get("/tasks", params=params).json()
        seen |= {task["id"] for task in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == set(answer.json()["ids"])
    assert ann.http.post("/tasks/batch", content=lines + '{"title": "x"}', headers=headers).status_code == 422
    assert ann.http.post("/tasks/batch", json=[]).status_code == 422


def test_lists_sort_filter_and_page(ann: Person, bob: Person) -> None:
    for n in range(7):
        ann.submit(title=f"Plant {n}", priority=n % 3, performer_id=bob.id, labels=["green"] if n % 2 else [])
    mine = {"performer_id": bob.id}
    for sort in (
        "created_at",
        "-created_at",
        "updated_at",
        "-updated_at",
        "priority",
        "-priority",
        "due_at",
        "-due_at",
    ):
        ids: list[int] = []
        url: str | None = "/tasks?" + str(httpx.QueryParams(mine | {"sort": sort, "limit": 3}))
        while url:
            page = ann.http.get(url)
            ids += [task["id"] for task in page.json()["items"]]
            url = page.links.get("next", {}).get("url")
        assert len(ids) == len(set(ids)) == 7, sort
    assert len(ann.http.get("/tasks", params=mine | {"label": "green"}).json()["items"]) == 3
    assert len(ann.http.get("/tasks", params=mine | {"q": "plant 3"}).json()["items"]) == 1
    both: dict[str, Any] = {"performer_id": bob.id, "status": ["done", "pending"]}
    assert len(ann.http.get("/tasks", params=both).json()["items"]) == 7
    assert ann.http.get("/tasks", params=mine | {"updated_after": "2099-01-01T00:00:00Z"}).json()["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("sort=title", "sort"),
        ("status=eaten", "status"),
        ("cursor=x", "cursor"),
        ("cursor=WyItcHJpb3JpdHkiLDEsMV0", "cursor"),
        ("due_before=tomorrow", "due_before"),
        ("performer_id=x", "performer_id"),
        ("performer_id=null", "performer_id"),
        ("job=null", "job"),
        ("performer=5", "performer"),
        ("platform=5", "platform"),
        ("performer_id=99999999999999999999999", "performer_id"),
    ],
)
def test_bad_queries_name_the_parameter(ann: Person, query: str, field: str) -> None:
    answer = ann.http.get(f"/tasks?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("number", ["0", "-1", "x", "9007199254740992", "1.5", "999999999", "%00", "1%2F2"])
def test_ids_that_cannot_be_are_not_found(ann: Person, number: str) -> None:
    answer = ann.http.get(f"/tasks/{number}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_patch_sets_some_and_put_sets_all(ann: Person) -> None:
    task = ann.submit(title="x", priority=5, labels=["a"], description="d")
    url = f"/tasks/{task['id']}"
    patched = ann.http.patch(url, json={"title": "y", "description": None}).json()
    assert (patched["title"], patched["description"], patched["priority"], patched["version"]) == ("y", "", 5, 2)
    merge = {"content-type": "application/merge-patch+json"}
    assert ann.http.patch(url, content=b'{"status": "in_progress"}', headers=merge).json()["started_at"]
    replaced = ann.http.put(url, json={"title": "z"}).json()
    assert (replaced["title"], replaced["priority"], replaced["labels"], replaced["status"]) == ("z", 0, [], "pending")
    assert ann.http.put(url, json={"priority": 1}).json()["errors"][0]["field"] == "title"
    assert ann.http.patch(url, json={"title": None}).status_code == 422
    same = ann.http.patch(url, json={"title": "z"}).json()
    assert same["version"] == replaced["version"], "what changes nothing is no event"


def test_a_change_right_after_the_submission_finds_its_task(ann: Person) -> None:
    for _ in range(20):
        task = ann.submit(title="x")
        assert ann.http.patch(f"/tasks/{task['id']}", json={"status": "done"}).json()["status"] == "done"


def test_transitions_that_are_not_allowed(ann: Person) -> None:
    task = ann.submit(title="x")
    url = f"/tasks/{task['id']}"
    assert ann.http.patch(url, json={"status": "done"}).status_code == 200
    answer = ann.http.patch(url, json={"status": "cancelled"})
    assert (answer.status_code, answer.json()["code"]) == (409, "bad_transition")
    assert ann.http.post(f"{url}/cancel").status_code == 409
    assert ann.http.post(f"{url}/retry").status_code == 409


def test_entity_tags(ann: Person) -> None:
    task = ann.submit(title="x")
    url = f"/tasks/{task['id']}"
    tag = ann.http.get(url).headers["etag"]
    assert tag == '"1"'
    same = ann.http.get(url, headers={"if-none-match": f'"9", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert ann.http.patch(url, json={"title": "y"}, headers={"if-match": tag}).headers["etag"] == '"2"'
    for method in ("PUT", "PATCH", "DELETE"):
        body = None if method == "DELETE" else {"title": "z"}
        for stale in (tag, "2", '"x"', 'W/"2"'):
            answer = ann.http.request(method, url, json=body, headers={"if-match": stale})
            assert (answer.status_code, answer.json()["code"]) == (412, "stale_version"), (method, stale)
    assert ann.http.get(url, headers={"if-none-match": tag}).json()["title"] == "y"
    assert ann.http.delete(url, headers={"if-match": '"2"'}).status_code == 204


def test_who_may_change_and_delete(admin: Person, ann: Person, bob: Person) -> None:
    task = ann.submit(title="x")
    url = f"/tasks/{task['id']}"
    for path, method in ((url, "PATCH"), (url, "PUT"), (f"{url}/cancel", "POST"), (f"{url}/retry", "POST")):
        answer = bob.http.request(method, path, json={"title": "y"})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    assert bob.http.get(url).status_code == 200
    ann.http.patch(url, json={"performer_id": bob.id})
    assert bob.http.patch(url, json={"title": "y"}).status_code == 200
    assert bob.http.delete(url).status_code == 403
    assert admin.http.delete(url).status_code == 204


def test_a_deleted_task_is_gone_at_once_and_everywhere(ann: Person) -> None:
    task = ann.submit(title="needle in a haystack")
    url = f"/tasks/{task['id']}"
    assert ann.http.delete(url).status_code == 204
    for path in (url, f"{url}/history", f"{url}/result"):
        assert ann.http.get(path).status_code == 404, path
    assert ann.http.delete(url).status_code == 404
    assert ann.http.patch(url, json={"title": "x"}).status_code == 404
    assert ann.http.get("/tasks", params={"creator_id": ann.id}).json()["items"] == []


def test_history_tells_it_all_in_pages(ann: Person) -> None:
    task = ann.submit(title="x")
    url = f"/tasks/{task['id']}"
    for title in "abcd":
        ann.http.patch(url, json={"title": title})
    ann.http.patch(url, json={"status": "done"})
    events: list[dict[str, Any]] = []
    following: str | None = f"{url}/history?limit=2"
    while following:
        page = ann.http.get(following)
        events += page.json()["items"]
        following = page.links.get("next", {}).get("url")
    assert [event["type"] for event in events] == ["task.created", *["task.updated"] * 4, "task.completed"]
    assert [event["id"] for event in events] == [f"{task['id']}.{n}" for n in range(1, 7)]
    assert events[1]["data"]["changes"]["title"] == ["x", "a"]
    assert {event["actor"] for event in events} == {f"user:{ann.id}"}


def test_a_job_runs_and_its_result_is_waited_for(ann: Person) -> None:
    job = ann.submit(payload="Hello world!")
    answer = ann.http.get(f"/tasks/{job['id']}/result", params={"wait": 10})
    assert answer.status_code == 200
    assert answer.json().keys() == {"task_id", "result", "processed_at"}
    assert answer.json()["result"] == "!dlrow olleH (len=12)"
    done = ann.task(job["id"])
    assert (done["status"], done["attempts"], done["handler"]) == ("done", 1, "reverse")
    assert done["result"] == "!dlrow olleH (len=12)"


def test_a_result_that_is_not_there(ann: Person) -> None:
    job = ann.submit(payload={"seconds": 30}, handler="sleep")
    url = f"/tasks/{job['id']}"
    assert ann.http.get(f"{url}/result").status_code == 202
    assert ann.http.get(f"{url}/result", params={"wait": 0.05}).json()["task_id"] == job["id"]
    assert ann.http.get(f"{url}/result", params={"wait": 31}).status_code == 422
    assert ann.http.get(f"{url}/result", params={"wait": "nan"}).status_code == 422
    cancelled = ann.http.post(f"{url}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    answer = ann.http.get(f"{url}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "task_cancelled")
    assert ann.http.get("/tasks/999999999/result").status_code == 404


def test_a_failing_job_is_retried_then_failed_then_retried_by_hand(ann: Person) -> None:
    job = ann.submit(handler="fail", title="x", max_attempts=2)
    failed = ann.finished(job["id"])
    assert (failed["status"], failed["attempts"]) == ("failed", 2)
    assert "always fails" in failed["error"]
    again = ann.http.post(f"/tasks/{job['id']}/retry")
    assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (202, "pending", 0)
    assert ann.finished(job["id"])["status"] == "failed"


def test_users_do_not_move_jobs(ann: Person) -> None:
    job = ann.submit(handler="sleep", payload={"seconds": 0}, run_at="2099-01-01T00:00:00Z")
    url = f"/tasks/{job['id']}"
    assert ann.http.patch(url, json={"status": "done"}).status_code == 409
    assert ann.http.put(url, json={"title": "x", "handler": "sleep", "payload": {"seconds": 0}}).status_code == 200
    assert ann.finished(job["id"])["status"] == "done", "without run_at it is due at once"
    assert ann.http.patch(url, json={"payload": 5}).status_code == 409
    spaced = b'{"payload": {"seconds" : 0}}'
    assert ann.http.patch(url, content=spaced).status_code == 200, "the same value is no change"


def test_a_task_becomes_a_job_only_while_it_is_pending(ann: Person) -> None:
    task = ann.submit(title="x")
    url = f"/tasks/{task['id']}"
    for status in ("in_progress", "done"):
        both = {"handler": "reverse", "payload": "abc", "status": status}
        assert ann.http.patch(url, json=both).status_code == 409
    ann.http.patch(url, json={"status": "in_progress"})
    assert ann.http.patch(url, json={"handler": "reverse", "payload": "abc"}).status_code == 409
    ann.http.patch(url, json={"status": "pending"})
    assert ann.http.patch(url, json={"payload": "abc"}).json()["handler"] == "reverse"
    assert ann.finished(task["id"])["result"] == "cba (len=3)"


def test_head_and_options(ann: Person) -> None:
    task = ann.submit(title="x")
    head = ann.http.head(f"/tasks/{task['id']}")
    assert (head.status_code, head.headers["etag"], head.content) == (200, '"1"', b"")
    assert ann.http.options("/tasks").headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_a_host_that_makes_no_sense_does_no_harm(ann: Person) -> None:
    for _ in range(2):
        ann.submit(title="x")
    for host in (":x", "a:99999", "["):
        page = ann.http.get("/tasks?limit=1", headers={"host": host})
        assert (page.status_code, page.links["next"]["url"].startswith("/tasks?limit=1&cursor=")) == (200, True)


def test_an_idempotency_key_makes_a_repetition_harmless(ann: Person, bob: Person) -> None:
    def post(person: Person, path: str, body: object, key: str = "k1") -> httpx.Response:
        return person.http.post(path, json=body, headers={"idempotency-key": key})

    first, again = post(ann, "/tasks", {"title": "x"}), post(ann, "/tasks", {"title": "x"})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other_body = post(ann, "/tasks", {"title": "y"})
    assert (other_body.status_code, other_body.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert post(bob, "/tasks", {"title": "x"}).json()["id"] != first.json()["id"]
    batch = [post(ann, "/tasks/batch", [{"title": "x"}, {"title": "y"}]) for _ in range(2)]
    assert batch[0].json() == batch[1].json()
    wrong = post(ann, "/tasks", {"title": ""}, "k2")
    assert wrong.status_code == 422
    assert post(ann, "/tasks", {"title": "fine"}, "k2").status_code == 202, "a refusal is not remembered"
    for key in ("", "x" * 256, "é"):
        assert post(ann, "/tasks", {"title": "x"}, key.encode("latin-1")).status_code == 422  # type: ignore[arg-type]
    assert len(ann.http.get("/tasks", params={"creator_id": ann.id}).json()["items"]) == 4


def test_a_list_finds_what_was_accepted_before_it_whoever_asks_beside_it(ann: Person) -> None:
    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            task = ann.submit(title="x")
            pages = threads.map(lambda _: ann.http.get("/tasks", params={"creator_id": ann.id}).json(), range(4))
            assert all(task["id"] in {one["id"] for one in page["items"]} for page in pages)


def test_many_at_once_with_one_key_make_one_task(ann: Person) -> None:
    def post(_: int) -> httpx.Response:
        return ann.http.post("/tasks", json={"title": "x"}, headers={"idempotency-key": "once"})

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(post, range(6)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    made = [answer for answer in answers if answer.status_code == 202]
    assert len({answer.json()["id"] for answer in made}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in made) == 1


@pytest.mark.parametrize(
    "path", ["/tasks", "/notifications", "/users", "/tasks/{id}/history", "/letters", "/tasks?sort=priority"]
)
def test_a_cursor_may_hold_anything_and_is_refused(admin: Person, path: str) -> None:
    address = path.format(id=admin.submit(title="x")["id"])
    orders = ("-created_at", "inbox", "users", "letters", "priority")
    odd = ["[" * 100_000, "{}", "null", '"x"', "1", *(f'["{order}","x",1,{"[" * 3_000}' for order in orders)]
    odd += [f'["{order}","x",1,2]' for order in orders] + [f'["{order}","a\\u0000b",1]' for order in orders]
    for text in odd:
        word = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")[:60_000]
        answer = admin.http.get(address, params={"cursor": word})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor"), text[:40]


@pytest.mark.parametrize("field", ["q", "label", "handler"])
def test_text_with_a_nul_is_searched_for_by_nobody(ann: Person, field: str) -> None:
    ann.submit(title="needle abc")
    answer = ann.http.get("/tasks", params={field: "needle abc\0def"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_many_edits_at_once_go_one_after_the_other(ann: Person) -> None:
    number = ann.submit(title="x")["id"]
    ann.task(number)
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda n: ann.http.patch(f"/tasks/{number}", json={"title": f"{n}"}), range(36)))
    assert [answer.status_code for answer in answers] == [200] * 36
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 38))


def test_a_stream_says_that_it_has_no_head(ann: Person) -> None:
    answer = ann.http.head("/events")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, OPTIONS")

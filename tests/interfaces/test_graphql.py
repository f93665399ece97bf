"""GraphQL: the same rules as REST, in one request, with limits, and subscriptions that resume."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from support.graphql import PROTOCOL, ask, raw, refused, socket
from support.server import PASSWORD, Person, serving
from support.waiting import eventually
from tasktide.adapters.sqlite.tasks import SqliteTasks
from tasktide.adapters.sqlite.users import SqliteUsers
from tasktide.domain.ids import TaskId
from tasktide.domain.rates import parse_tiers
from tasktide.interfaces.graphql.schema import sdl
from tasktide.ports.tasks import Change

CREATE = "mutation ($input: NewTaskInput!) { createTask(input: $input) { id } }"
UPDATE = "mutation ($id: ID!, $input: TaskInput!, $v: Int) { updateTask(id: $id, input: $input, ifVersion: $v) { id } }"


def test_the_schema_in_the_repository_is_the_one_that_is_served() -> None:
    kept = Path(__file__).parents[2] / "docs" / "reference" / "schema.graphql"
    assert kept.read_text() == sdl(), "run `make docs`"


# What is done by whom, over REST and over GraphQL, and the code that both must answer with (None: it works).
Rest = Callable[[httpx.Client, dict[str, Any]], httpx.Response]
SCENARIOS: list[tuple[str, str, Rest, str, dict[str, Any], str | None]] = [
    (
        "the creator edits",
        "creator",
        lambda c, t: c.patch(f"/tasks/{t['id']}", json={"priority": 3}),
        UPDATE,
        {"input": {"priority": 3}},
        None,
    ),
    (
        "the performer edits",
        "performer",
        lambda c, t: c.patch(f"/tasks/{t['id']}", json={"status": "in_progress"}),
        UPDATE,
        {"input": {"status": "IN_PROGRESS"}},
        None,
    ),
    (
        "a stranger edits",
        "stranger",
        lambda c, t: c.patch(f"/tasks/{t['id']}", json={"priority": 3}),
        UPDATE,
        {"input": {"priority": 3}},
        "forbidden",
    ),
    (
        "nobody edits",
        "nobody",
        lambda c, t: c.patch(f"/tasks/{t['id']}", json={"priority": 3}),
        UPDATE,
        {"input": {"priority": 3}},
        "token_missing",
    ),
    (
        "a version that is over",
        "creator",
        lambda c, t: c.patch(f"/tasks/{t['id']}", json={"priority": 3}, headers={"if-match": '"7"'}),
        UPDATE,
        {"input": {"priority": 3}, "v": 7},
        "stale_version",
    ),
    (
        "a field out of range",
        "creator",
        lambda c, t: c.patch(f"/tasks/{t['id']}", json={"priority": 10}),
        UPDATE,
        {"input": {"priority": 10}},
        "invalid",
    ),
    (
        "a user who does not exist",
        "creator",
        lambda c, t: c.patch(f"/tasks/{t['id']}", json={"performer_id": 999_999}),
        UPDATE,
        {"input": {"performerId": "999999"}},
        "invalid",
    ),
    (
        "a transition that is not allowed",
        "creator",
        lambda c, t: c.post(f"/tasks/{t['id']}/retry"),
        "mutation ($id: ID!) { retryTask(id: $id) { id } }",
        {},
        "bad_transition",
    ),
    (
        "the performer deletes",
        "performer",
        lambda c, t: c.delete(f"/tasks/{t['id']}"),
        "mutation ($id: ID!) { deleteTask(id: $id) }",
        {},
        "forbidden",
    ),
    (
        "the creator cancels",
        "creator",
        lambda c, t: c.post(f"/tasks/{t['id']}/cancel"),
        "mutation ($id: ID!) { cancelTask(id: $id) { status } }",
        {},
        None,
    ),
    (
        "an admin deletes",
        "admin",
        lambda c, t: c.delete(f"/tasks/{t['id']}"),
        "mutation ($id: ID!) { deleteTask(id: $id) }",
        {},
        None,
    ),
    (
        "a member sends a message",
        "creator",
        lambda c, _t: c.post("/notifications", json={"user_ids": "all", "message": "x"}),
        'mutation { sendNotification(input: {message: "x"}) }',
        {},
        "forbidden",
    ),
    (
        "a member makes another's task",
        "stranger",
        lambda c, t: c.post("/tasks", json={"title": "x", "creator_id": t["creator_id"]}),
        CREATE,
        {"input": {"title": "x", "creatorId": "$creator"}},
        "forbidden",
    ),
    (
        "a task without a title",
        "creator",
        lambda c, _t: c.post("/tasks", json={"priority": 1}),
        CREATE,
        {"input": {"priority": 1}},
        "invalid",
    ),
    (
        "a handler that there is not",
        "creator",
        lambda c, _t: c.post("/tasks", json={"title": "x", "handler": "nope"}),
        CREATE,
        {"input": {"title": "x", "handler": "nope"}},
        "invalid",
    ),
    (
        "a member makes an admin",
        "creator",
        lambda c, t: c.patch(f"/users/{t['creator_id']}", json={"role": "admin"}),
        "mutation ($creator: ID!) { setRole(userId: $creator, role: ADMIN) { id } }",
        {},
        "forbidden",
    ),
    (
        "a member reads dead letters",
        "creator",
        lambda c, _t: c.get("/letters"),
        "{ letters { nodes { id } } }",
        {},
        "forbidden",
    ),
    (
        "a page that is too long",
        "creator",
        lambda c, _t: c.get("/tasks", params={"limit": 201}),
        "{ tasks(first: 201) { nodes { id } } }",
        {},
        "invalid",
    ),
    (
        "a cursor that is none",
        "creator",
        lambda c, _t: c.get("/tasks", params={"cursor": "x"}),
        '{ tasks(after: "x") { nodes { id } } }',
        {},
        "invalid",
    ),
    (
        "a notification that is not mine",
        "stranger",
        lambda c, _t: c.post("/notifications/999999/read"),
        'mutation { readNotification(id: "999999") { id } }',
        {},
        "not_found",
    ),
    (
        "a password that is wrong",
        "nobody",
        lambda c, _t: c.post("/auth/login", json={"email": "admin@example.org", "password": "not this one"}),
        'mutation { signIn(email: "admin@example.org", password: "not this one") { token } }',
        {},
        "bad_credentials",
    ),
]


@pytest.mark.parametrize(("who", "rest", "query", "variables", "code"), [s[1:] for s in SCENARIOS],
                         ids=[s[0] for s in SCENARIOS])  # fmt: skip
def test_rest_and_graphql_answer_alike(
    admin: Person,
    ann: Person,
    bob: Person,
    anonymous: httpx.Client,
    address: str,
    who: str,
    rest: Rest,
    query: str,
    variables: dict[str, Any],
    code: str | None,
) -> None:
    stranger = Person(address, f"stranger{time.time_ns()}")
    people = {
        "creator": ann.http,
        "performer": bob.http,
        "admin": admin.http,
        "stranger": stranger.http,
        "nobody": anonymous,
    }
    tasks = [ann.submit(title="shared", performer_id=bob.id) for _ in range(2)]
    answer = rest(people[who], tasks[0])
    said = json.loads(json.dumps(variables).replace("$creator", str(ann.id)))
    known = {"id": str(tasks[1]["id"]), "creator": str(ann.id)}
    given = {name: value for name, value in (known | said).items() if f"${name}" in query}
    found = raw(people[who], query, **given)
    stranger.close()
    if code is None:
        assert answer.is_success, answer.text
        assert "errors" not in found, found
        return
    assert answer.json()["code"] == code
    extensions = found["errors"][0]["extensions"]
    assert (extensions["code"], extensions["status"]) == (code, answer.status_code)
    wrong = [error["field"] for error in answer.json().get("errors", ())]
    renamed = {"limit": "first", "cursor": "after", "performer_id": "performerId"}
    assert [error["field"] for error in extensions.get("errors", ())] == [renamed.get(one, one) for one in wrong]


def test_a_page_asks_for_its_users_once(ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        ann.submit(title="n+1", performer_id=bob.id, observer_ids=[ann.id, bob.id])
    ask(ann.http, "{ tasks(first: 1) { nodes { id } } }")  # all stored, the token known
    asked: list[Collection[Any]] = []
    for store in (SqliteUsers, SqliteTasks):
        get = store.get

        async def counted(self: Any, ids: Collection[Any], get: Any = get) -> Any:
            asked.append(ids)
            return await get(self, ids)

        monkeypatch.setattr(store, "get", counted)
    people = "creator { name } performer { name } observers { name }"
    page = ask(ann.http, "query ($q: TaskFilterInput) { tasks(filter: $q, first: 20) { nodes { %s } } }" % people,
               q={"creatorId": str(ann.id)})  # fmt: skip
    assert len(page["tasks"]["nodes"]) == 20
    assert len(asked) == 1, asked
    asked.clear()
    bob.inbox(20)
    inbox = ask(bob.http, "{ notifications(first: 20) { nodes { task { creator { name } } } } }")
    assert len(inbox["notifications"]["nodes"]) == 20
    assert len(asked) <= 2, asked


def test_pages_follow_one_another(ann: Person) -> None:
    made = [str(ann.submit(title=f"page {n}", priority=n % 3)["id"]) for n in range(7)]
    query = """query ($q: TaskFilterInput, $after: String) {
        tasks(filter: $q, sort: PRIORITY, first: 3, after: $after) {
            totalCount nodes { id priority } pageInfo { hasNextPage endCursor } } }"""
    seen: list[dict[str, Any]] = []
    after = None
    while True:
        page = ask(ann.http, query, q={"creatorId": str(ann.id)}, after=after)["tasks"]
        assert page["totalCount"] == 7
        seen += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert sorted(one["id"] for one in seen) == sorted(made)
    assert [one["priority"] for one in seen] == sorted((one["priority"] for one in seen), reverse=True)


def test_a_repeated_creation_gives_the_same_task(ann: Person) -> None:
    query = 'mutation ($input: NewTaskInput!) { createTask(input: $input, idempotencyKey: "k") { id } }'
    first, again = (ask(ann.http, query, input={"title": "once"}) for _ in range(2))
    assert first == again
    assert refused(ann.http, query, input={"title": "other"})["code"] == "invalid"


def test_many_are_created_and_changed_at_once(ann: Person, bob: Person) -> None:
    made = ask(ann.http, "mutation ($i: [NewTaskInput!]!) { createTasks(inputs: $i) { ids } }",
               i=[{"title": f"m{n}"} for n in range(3)])["createTasks"]["ids"]  # fmt: skip
    foreign = str(bob.submit(title="not ann's")["id"])
    query = "mutation ($ids: [ID!]!) { updateTasks(ids: $ids, input: {priority: 7}) { id task { priority } code } }"
    outcomes = ask(ann.http, query, ids=[*made, foreign, "999999"])["updateTasks"]
    assert [one["code"] for one in outcomes] == [None, None, None, "forbidden", "not_found"]
    assert [one["task"]["priority"] for one in outcomes[:3]] == [7, 7, 7]
    wrong = refused(ann.http, "mutation ($i: [NewTaskInput!]!) { createTasks(inputs: $i) { ids } }",
                    i=[{"title": "good"}, {"title": "", "performerId": "x"}])  # fmt: skip
    assert {error["field"] for error in wrong["errors"]} == {"[1].performerId"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{ tasks { nodes { creator { id } } } " + "".join(f"a{n}: me {{ id }} " for n in range(60)) + "}", "aliases"),
        ("{ tasks(first: 200) { nodes { history(first: 200) { nodes { id } } } } }", "for more than"),
        ("query { " + "me { id } " * 2_000 + "}", "token"),
        (
            "{ a: notifications { " + "nodes { task { history { nodes { user { id } } } } } " * 40 + "} }",
            "for more than",
        ),
    ],
    ids=["aliases", "cost", "tokens", "nested pages"],
)
def test_an_operation_that_asks_for_too_much_is_refused(ann: Person, query: str, words: str) -> None:
    [error] = raw(ann.http, query)["errors"]
    assert words in error["message"].lower() or words in error["message"]


def test_fragments_cost_what_they_hold(ann: Person) -> None:
    query = """query ($n: Int!) { tasks(first: $n) { nodes { ...all } } }
        fragment all on Task { history(first: $n) { nodes { id } } }"""
    assert "errors" not in raw(ann.http, query, n=10)
    assert refused(ann.http, query, n=200)["code"] == "too_costly"
    loops = "{ tasks { nodes { ...a } } } fragment a on Task { ...b } fragment b on Task { ...a }"
    assert "errors" in raw(ann.http, loops)


def test_introspection_is_a_setting(tmp_path: Path, ann: Person) -> None:
    assert ask(ann.http, "{ __schema { queryType { name } } }")
    with serving(tmp_path, graphql_introspection=False) as address, httpx.Client(base_url=address) as client:
        assert "errors" in raw(client, "{ __schema { queryType { name } } }")


def test_odd_requests_are_answered(ann: Person) -> None:
    bodies = [
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"",
        b'{"query": 7}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"query":"\\ud800"}',
    ]
    for body, kind in [*((body, "application/json") for body in bodies), (b"query=x", "text/plain")]:
        answer = ann.http.post("/graphql", content=body, headers={"content-type": kind})
        assert 400 <= answer.status_code < 500, (body, answer.text)
    assert refused(ann.http, "{ task(id: 1e400) { id } }")["code"] == "malformed"
    assert ask(ann.http, '{ task(id: "0") { id } user(id: "x") { id } }') == {"task": None, "user": None}
    nan = b'{"query": "mutation ($p: JSON) { createTask(input: {payload: $p}) { id } }", "variables": {"p": NaN}}'
    assert ann.http.post("/graphql", content=nan, headers={"content-type": "application/json"}).status_code == 400
    assert ann.http.put("/graphql").headers["allow"] == "GET, POST"
    assert ann.http.put("/graphql").json()["code"] == "method_not_allowed"
    assert "WebSocket" in raw(ann.http, "subscription { taskEvents { __typename } }")["errors"][0]["message"]
    assert refused(ann.http, "{ me { ...UserFields } }")["code"] == "malformed"
    huge = ann.http.post("/graphql", json={"query": "{ me { id } }", "variables": {"x": "y" * 2_000_000}})
    assert huge.status_code == 413


def test_a_browser_is_signed_in_by_a_cookie_that_needs_a_header(address: str, ann: Person) -> None:
    sign_in = (
        "mutation ($e: String!, $p: String!) { signIn(email: $e, password: $p, cookie: true) { token user { id } } }"
    )
    guarded = {"x-csrf-protection": "1"}
    with httpx.Client(base_url=address) as browser:
        answer = browser.post("/graphql", json={"query": sign_in, "variables": {"e": ann.email, "p": PASSWORD}})
        assert answer.json()["data"]["signIn"] == {"token": None, "user": {"id": str(ann.id)}}
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="))
        me = {"query": "{ me { id } }"}
        assert browser.post("/graphql", json=me).json()["data"]["me"] is None, "another site's form has no header"
        assert browser.get("/tasks").status_code == 401
        assert browser.post("/graphql", json=me, headers=guarded).json()["data"]["me"] == {"id": str(ann.id)}
        assert browser.get("/tasks", headers=guarded).status_code == 200
        out = browser.post("/graphql", json={"query": "mutation { signOut }"}, headers=guarded)
        assert "Max-Age=0" in out.headers["set-cookie"]
        again = httpx.post(f"{address}/graphql", json={"query": "{ stats { status } }"},
                           headers=guarded | {"cookie": cookie.split(";")[0]})  # fmt: skip
        assert again.json()["errors"][0]["extensions"]["code"] == "session_ended"


def test_a_socket_takes_the_cookie_of_its_own_pages_only(address: str, ann: Person) -> None:
    where = address.replace("http", "ws") + "/graphql"
    cookie = {"cookie": f"tasktide_session={ann.token}"}
    with connect(where, subprotocols=[PROTOCOL], additional_headers=cookie, origin=Origin(address)) as own:
        own.send('{"type": "connection_init"}')
        assert json.loads(own.recv(timeout=10))["type"] == "connection_ack"
    with pytest.raises(InvalidStatus):
        connect(where, subprotocols=[PROTOCOL], additional_headers=cookie, origin=Origin("http://evil.example"))
    with connect(where, subprotocols=[PROTOCOL]) as nobody:
        nobody.send('{"type": "connection_init", "payload": {"token": "not one"}}')
        with pytest.raises(ConnectionClosed) as closed:
            nobody.recv(timeout=10)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4403


def test_guessing_passwords_counts_by_address_however_it_is_asked(tmp_path: Path) -> None:
    with serving(tmp_path, rate_limiting=True) as address:
        person = Person(address, "ann")
        time.sleep(1.1)
        guess = 'mutation ($e: String!) { signIn(email: $e, password: "a guess") { token } }'
        codes = [refused(person.http, guess, e=person.email)["code"] for _ in range(8)]
        person.close()
        assert codes.count("rate_limited") >= 1, codes
        assert codes.count("bad_credentials") <= 6, codes


def test_notifications_resume_behind_a_cursor(ann: Person, bob: Person) -> None:
    for number in range(3):
        ann.submit(title=f"n{number}", performer_id=bob.id)
    bob.inbox(3)
    query = "subscription ($after: ID) { notificationReceived(after: $after) { id message task { title } } }"
    with socket(bob) as live:
        live.subscribe(query, after="0")
        heard = [live.next() for _ in range(3)]
        assert [one["task"]["title"] for one in heard] == ["n0", "n1", "n2"]
        ann.submit(title="n3", performer_id=bob.id)
        assert live.next()["task"]["title"] == "n3"
    with socket(bob) as live:
        live.subscribe(query, after=heard[1]["id"])
        assert [live.next()["task"]["title"] for _ in range(2)] == ["n2", "n3"]
        live.subscribe(query, "2", after="999999999")
        assert live.failure()["code"] == "invalid"


def test_a_task_is_watched_until_it_is_deleted(ann: Person, bob: Person) -> None:
    task = ann.submit(title="watched", performer_id=bob.id)
    with socket(bob) as live:
        live.subscribe("subscription ($id: ID!) { taskUpdated(id: $id) { version title } }", id=str(task["id"]))
        assert live.next() == {"version": 1, "title": "watched"}
        ask(ann.http, UPDATE, id=str(task["id"]), input={"title": "changed"})
        assert live.next() == {"version": 2, "title": "changed"}
        ann.http.delete(f"/tasks/{task['id']}")
        assert live.next() is None
        assert live.receive()["type"] == "complete"


def test_events_of_matching_tasks_come_and_those_that_leave(ann: Person, bob: Person) -> None:
    query = """subscription ($q: TaskFilterInput) { taskEvents(filter: $q) {
        ... on TaskEvent { type actor task { id version performerId } changes { field } } ... on Gap { reason } } }"""
    with socket(ann) as live:
        live.subscribe(query, q={"performerId": str(bob.id)})
        time.sleep(0.3)
        ann.submit(title="not bob's")
        mine = ann.submit(title="bob's", performer_id=bob.id)
        created = live.next()
        assert (created["type"], created["task"]["id"]) == ("task.created", str(mine["id"]))
        ann.http.patch(f"/tasks/{mine['id']}", json={"performer_id": ann.id})
        left = live.next()
        assert left["task"]["performerId"] == str(ann.id)
        assert {"field": "performer_id"} in left["changes"]


def test_those_who_look_at_a_task_see_each_other(ann: Person, bob: Person) -> None:
    task = ann.submit(title="looked at")
    query = "subscription ($id: ID!) { taskViewers(id: $id) { id } }"
    with socket(ann) as hers:
        hers.subscribe(query, id=str(task["id"]))
        time.sleep(0.3)
        with socket(bob) as his:
            his.subscribe(query, id=str(task["id"]))
            assert his.next() == [{"id": str(ann.id)}]
            assert hers.next() == [{"id": str(bob.id)}]
        assert hers.next() == [], "he has left"


def doubling(levels: int, end: str) -> str:
    """A document that is walked twice as long for each level, by whoever does not remember."""
    parts = [f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)]
    return "{ ...F0 } " + " ".join(parts) + f" fragment F{levels} on Query {{ {end} }}"


@pytest.mark.parametrize(
    "document",
    [
        doubling(40, "me { id }"),
        doubling(40, "...F0"),
        doubling(40, "me { id }").replace("{ ...F0 }", "query A { __typename } query B { ...F0 }", 1),
        doubling(40, "me { id }").replace("{ ...F0 }", "{ __typename }", 1),
    ],
    ids=["leaf", "cycle", "another operation", "never spread"],
)
def test_a_document_cannot_keep_the_server_busy(anonymous: httpx.Client, document: str) -> None:
    body = {"query": document, "operationName": "A" if "query A" in document else None}
    began = time.monotonic()
    answer = anonymous.post("/graphql", json=body)
    assert time.monotonic() - began < 10, "the walk of twice as much at each level would take for ever"
    assert answer.json()["errors"][0]["extensions"]["code"] in {"too_costly", "malformed"}


@pytest.mark.parametrize("number", ["$n: Int! = 200", "$n: Int!"])
def test_a_cost_is_not_hidden_in_variables(ann: Person, number: str) -> None:
    query = f"query ({number}) {{ tasks(first: $n) {{ nodes {{ history(first: $n) {{ nodes {{ id }} }} }} }} }}"
    given = {} if "=" in number else {"n": 200.0}
    assert refused(ann.http, query, **given)["code"] == "too_costly"
    many = "mutation ($ids: [ID!]!) { cancelTasks(ids: $ids) { task { history(first: 200) { nodes { id type } } } } }"
    assert refused(ann.http, many, ids=[str(n) for n in range(1, 201)])["code"] == "too_costly"
    digits = "{ tasks(first: %s) { totalCount } }" % ("9" * 5_000)
    assert refused(ann.http, digits)["code"] != "internal"


def test_limits_hold_for_all_fields_of_an_operation_together(ann: Person) -> None:
    ids = [str(n) for n in range(1, 121)]
    two = "mutation ($ids: [ID!]!) { a: cancelTasks(ids: $ids) { code } b: cancelTasks(ids: $ids) { code } }"
    assert refused(ann.http, two, ids=ids)["errors"][0]["field"] == "ids"
    for empty in ("createTasks(inputs: []) { ids }", "sendNotifications(inputs: [])", "cancelTasks(ids: []) { code }"):
        assert refused(ann.http, f"mutation {{ {empty} }}")["code"] in {"invalid", "forbidden"}


def test_cookies_of_others_are_read_past(address: str, ann: Person) -> None:
    for others in ('prefs={"a":1}', "flag", "a=b c", "a=é", "a b=c", "tasktide_sessions=x"):
        cookie = f"{others}; tasktide_session={ann.token}".encode("latin-1")
        headers = {b"x-csrf-protection": b"1", b"cookie": cookie}
        answer = httpx.post(f"{address}/graphql", json={"query": "{ me { id } }"}, headers=headers)
        assert answer.json()["data"]["me"] == {"id": str(ann.id)}, others


def test_another_origin_that_may_call_the_api_does_not_get_the_cookie(tmp_path: Path) -> None:
    with serving(tmp_path, cors_origins=("http://other.example",)) as address:
        person = Person(address, "ann")
        cookie = {"cookie": f"tasktide_session={person.token}"}
        where = address.replace("http", "ws") + "/graphql"
        elsewhere = Origin("http://other.example")
        with connect(where, subprotocols=[PROTOCOL], additional_headers=cookie, origin=elsewhere) as other:
            other.send('{"type": "connection_init"}')
            with pytest.raises(ConnectionClosed):
                other.recv(timeout=10)
        person.close()


@pytest.mark.parametrize("leaves", [True, False])
def test_a_change_is_seen_whether_or_not_its_socket_waits_for_it(
    ann: Person, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    task = ann.http.get(f"/tasks/{ann.submit(title='before')['id']}").json()["id"]  # it is in the cache
    commit, committed = SqliteTasks.commit, threading.Event()

    async def slow(self: SqliteTasks, changes: Sequence[Change]) -> frozenset[TaskId]:
        done = await commit(self, changes)
        committed.set()
        await asyncio.sleep(0.2)
        return done

    monkeypatch.setattr(SqliteTasks, "commit", slow)
    with socket(ann) as live:
        live.subscribe(UPDATE, "7", id=str(task), input={"title": "after"})
        if leaves:
            assert committed.wait(10)
        else:
            live.complete("7")
            live.subscribe("{ me { id } }", "8")
            assert live.next() == {"id": str(ann.id)}  # and not the answer to what nobody waits for
    assert committed.wait(10)
    eventually(lambda: ann.http.get(f"/tasks/{task}").json()["title"] == "after")


def test_a_socket_is_asked_anew_who_it_is(admin: Person, ann: Person) -> None:
    role = "mutation ($id: ID!, $role: Role!) { setRole(userId: $id, role: $role) { role } }"
    assert ask(admin.http, role, id=str(ann.id), role="ADMIN")
    with socket(ann) as live:
        live.subscribe("{ stats { status } }")
        assert live.next() == {"status": "ok"}
        assert live.receive()["type"] == "complete"
        assert ask(admin.http, role, id=str(ann.id), role="MEMBER")
        live.subscribe("{ stats { status } }", "2")
        assert live.failure()["code"] == "forbidden"
        assert live.receive()["type"] == "complete"
        ann.http.post("/auth/logout")
        live.subscribe('mutation { createTask(input: {title: "x"}) { id } }', "3")
        assert live.failure()["code"] == "session_ended"


def test_a_socket_that_asks_too_often_is_told_so(tmp_path: Path) -> None:
    with serving(tmp_path, rate_limiting=True, rate_signed_in=parse_tiers("6/60s")) as address:
        person = Person(address, "ann")
        codes = []
        with socket(person) as live:
            for number in range(8):
                live.subscribe("{ me { id } }", str(number))
                message = live.receive()
                if message["type"] == "next":
                    assert live.receive()["type"] == "complete"
                else:
                    codes.append(message["payload"][0]["extensions"]["code"])
        person.close()
        assert codes
        assert set(codes) == {"rate_limited"}


@pytest.mark.parametrize(
    "frame",
    [
        "null",
        "1",
        "[]",
        '{"id":[1],"type":"subscribe"}',
        '{"id":"1","type":"subscribe"}',
        '{"id":"1","type":"subscribe","payload":{"query":5}}',
        "{" * 20_000,
    ],
)
def test_odd_frames_close_the_socket_with_a_word(ann: Person, frame: str) -> None:
    with connect(ann.address.replace("http", "ws") + "/graphql", subprotocols=[PROTOCOL]) as connection:
        connection.send(json.dumps({"type": "connection_init", "payload": {"token": ann.token}}))
        connection.recv(timeout=10)
        connection.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4400


def test_a_cookie_is_not_set_over_a_socket(ann: Person) -> None:
    with socket(ann) as live:
        live.subscribe(f'mutation {{ signIn(email: "{ann.email}", password: "{PASSWORD}", cookie: true) {{ token }} }}')
        assert live.failure()["code"] == "invalid"


def test_only_events_that_concern_the_filter_come(ann: Person, bob: Person) -> None:
    with socket(ann) as live:
        query = "subscription ($q: TaskFilterInput) { taskEvents(filter: $q) { ... on TaskEvent { task { id } } } }"
        live.subscribe(query, q={"performerId": str(bob.id), "statuses": ["DONE"]})
        time.sleep(0.3)
        other = ann.submit(title="nobody's")
        ann.http.patch(f"/tasks/{other['id']}", json={"status": "in_progress"})
        mine = ann.submit(title="bob's", performer_id=bob.id)
        ann.http.patch(f"/tasks/{mine['id']}", json={"status": "done"})
        assert live.next() == {"task": {"id": str(mine["id"])}}


def test_logging_out_ends_what_is_watched(address: str, ann: Person) -> None:
    with socket(ann) as live:
        live.subscribe("subscription { taskEvents { ... on Gap { reason } } }")
        time.sleep(0.3)
        assert ask(ann.http, "mutation { signOut }") == {"signOut": True}
        assert live.failure()["code"] == "session_ended"


NUMBERS = ["1e400", "-1e400", "[{a: 1e999}]", "{a: {b: [1, 1e309]}}"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_json_cannot_carry_is_refused(ann: Person, number: str) -> None:
    query = f'mutation {{ createTask(input: {{title: "x", payload: {number}}}) {{ id payload }} }}'
    assert refused(ann.http, query)["code"] == "malformed"
    assert not ann.http.get("/tasks", params={"creator_id": ann.id}).json()["items"]


def test_of_several_operations_only_the_named_one_is_run(ann: Person) -> None:
    query = 'mutation a { createTask(input: {title: "x"}) { id } } query b { me { id } }'
    assert refused(ann.http, query)["code"] == "malformed"
    answer = ann.http.post("/graphql", json={"query": query, "operationName": "b"}).json()
    assert answer["data"] == {"me": {"id": str(ann.id)}}
    assert not ann.http.get("/tasks", params={"creator_id": ann.id}).json()["items"]
    with socket(ann) as live:
        live.subscribe(query)
        message = live.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "malformed")
        assert message["payload"][0]["extensions"]["trace_id"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("{ tasks(first: 201) { nodes { id } } }", "first"),
        ('{ tasks(after: "zz") { nodes { id } } }', "after"),
        ('{ tasks(filter: {q: "a\\u0000b"}) { nodes { id } } }', "q"),
        ('mutation { createTask(input: {title: "x"}, idempotencyKey: "") { id } }', "idempotencyKey"),
    ],
)
def test_errors_name_what_the_schema_has(ann: Person, query: str, field: str) -> None:
    assert [error["field"] for error in refused(ann.http, query)["errors"]] == [field]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/graphql"])
def test_what_is_not_json_is_an_unsupported_type(ann: Person, kind: str) -> None:
    answer = ann.http.post("/graphql", content="{me{id}}", headers={"content-type": kind})
    assert answer.status_code == 415
    assert not answer.json()["detail"].endswith("..")

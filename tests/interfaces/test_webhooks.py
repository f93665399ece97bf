"""Webhooks as their users see them: from a change of a task to a request at their receiver."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import pytest

from support.graphql import ask, refused
from support.receiver import Receiver, receiving
from support.server import Person
from support.waiting import eventually

PATH = "/notifications/webhook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def test_what_concerns_me_comes_to_my_receiver_signed_and_in_order(
    admin: Person, ann: Person, receiver: Receiver
) -> None:
    made = ann.http.put(PATH, json={"url": receiver.url})
    secret = made.json()["secret"]
    assert (made.status_code, secret[:6], made.headers["cache-control"]) == (200, "whsec_", "no-store")
    on = {"task.assigned": True, "message": True}
    assert ann.http.put("/notifications/preferences", json={"webhook": on}).status_code == 200
    task = admin.http.post("/tasks", json={"title": "For Ann", "performer_id": ann.id}).json()
    for number in range(5):
        admin.http.post("/notifications", json={"user_ids": [ann.id], "message": f"Word {number}"})
    admin.http.post("/notifications", json={"user_ids": [ann.id], "message": "unheard", "kind": "task.due"})
    admin.http.post("/notifications", json={"user_ids": [ann.id], "message": "last"})
    eventually(lambda: len(receiver.received) >= 7)
    told = [(body["type"], body["data"]["message"]) for body in receiver.verified(secret)]
    assert sorted(told) == sorted(
        [("task.assigned", told[0][1]), *(("message", f"Word {number}") for number in range(5)), ("message", "last")]
    )
    bodies = receiver.verified(secret)
    ids = [body["data"]["id"] for body in bodies]
    assert ids == sorted(ids)
    assert task["id"] in [body["data"]["task_id"] for body in bodies]
    inbox = {one["id"]: one for one in ann.http.get("/notifications").json()["items"]}
    assert [inbox[body["data"]["id"]] for body in bodies] == [body["data"] for body in bodies], "as in the inbox"


def test_a_webhook_is_kept_changed_tried_and_removed(ann: Person, receiver: Receiver) -> None:
    for call in (ann.http.get, ann.http.delete):
        assert call(PATH).status_code == 404
    assert ann.http.post(f"{PATH}/test").status_code == 404
    first = ann.http.put(PATH, json={"url": "https://example.org/a"}).json()
    moved = ann.http.put(PATH, json={"url": receiver.url}).json()
    kept = ann.http.get(PATH).json()
    assert moved == kept == {"url": receiver.url, "created_at": first["created_at"], "secret": None}
    assert ann.http.post(f"{PATH}/test").json() == {"delivered": True, "detail": "The receiver has taken it."}
    receiver.status = 500
    assert ann.http.post(f"{PATH}/test").json() == {"delivered": False, "detail": "The receiver answers 500."}
    bodies = receiver.verified(first["secret"])
    assert [(body["type"], body["data"]["id"], body["data"]["user_id"]) for body in bodies] == [
        ("message", 0, ann.id)
    ] * 2
    assert ann.http.delete(PATH).status_code == 204
    assert ann.http.get(PATH).status_code == 404
    again = ann.http.put(PATH, json={"url": receiver.url}).json()
    assert again["secret"] not in {None, first["secret"]}


def test_everybody_has_a_webhook_of_their_own(ann: Person, bob: Person, address: str) -> None:
    ann.http.put(PATH, json={"url": "https://example.org/ann"})
    assert bob.http.get(PATH).status_code == 404
    assert bob.http.delete(PATH).status_code == 404
    bob.http.put(PATH, json={"url": "https://example.org/bob"})
    assert ann.http.get(PATH).json()["url"] == "https://example.org/ann"
    for method, path in [("GET", PATH), ("PUT", PATH), ("DELETE", PATH), ("POST", f"{PATH}/test")]:
        assert httpx.request(method, address + path, json={"url": "https://example.org/"}).status_code == 401


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://[::ffff:10.0.0.1]/", "ftp://example.org/", "https://a:b@example.org/", "", 7]
)
def test_an_address_that_is_not_called_is_refused_by_name(ann: Person, url: object) -> None:
    answer = ann.http.put(PATH, json={"url": url})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["url"])
    assert ann.http.get(PATH).status_code == 404


def test_one_trial_at_a_time(ann: Person, receiver: Receiver) -> None:
    ann.http.put(PATH, json={"url": receiver.url})
    aliases = " ".join(f"t{n}: testWebhook {{ delivered }}" for n in range(3))
    errors = ann.http.post("/graphql", json={"query": f"mutation {{ {aliases} }}"}).json()["errors"]
    assert {error["extensions"]["errors"][0]["field"] for error in errors} == {"testWebhook"}
    assert len(receiver.received) == 1
    receiver.delay_s = 0.5
    with ThreadPoolExecutor(3) as several:
        statuses = several.map(lambda _: ann.http.post(f"{PATH}/test").status_code, range(3))
    assert sorted(statuses) == [200, 409, 409]
    assert len(receiver.received) == 2


def test_graphql_can_do_the_same(ann: Person, receiver: Receiver) -> None:
    assert ask(ann.http, "{ webhook { url } }") == {"webhook": None}
    set_it = "mutation($url: String!) { setWebhook(url: $url) { url secret } }"
    made = ask(ann.http, set_it, url=receiver.url)["setWebhook"]
    assert made["secret"].startswith("whsec_")
    assert ask(ann.http, "{ webhook { url secret createdAt } }")["webhook"]["secret"] is None
    assert ask(ann.http, "mutation { testWebhook { delivered detail } }")["testWebhook"]["delivered"] is True
    assert len(receiver.verified(made["secret"])) == 1
    assert refused(ann.http, set_it, url="http://10.0.0.1/")["errors"][0]["field"] == "url"
    cells = [{"channel": "WEBHOOK", "kind": "MESSAGE", "enabled": True}]
    wanted = "mutation($cells: [PreferenceInput!]!) { setPreferences(cells: $cells) { channel kind enabled } }"
    whole = ask(ann.http, wanted, cells=cells)["setPreferences"]
    assert [one["kind"] for one in whole if one["channel"] == "WEBHOOK" and one["enabled"]] == ["MESSAGE"]
    assert ask(ann.http, "mutation { removeWebhook }") == {"removeWebhook": True}
    assert refused(ann.http, "mutation { removeWebhook }")["code"] == "not_found"
    assert msgspec.json.decode(ann.http.get(PATH).content)["code"] == "not_found"

"""Accounts over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.server import PASSWORD, Person, serving


def test_the_first_user_is_admin_and_later_ones_are_members(admin: Person, ann: Person) -> None:
    me = admin.http.get("/auth/me").json()
    assert me.keys() == {"id", "email", "name", "role", "created_at"}
    assert me["role"] == "admin"
    assert ann.http.get("/auth/me").json()["role"] == "member"


def test_an_email_is_taken_once_whatever_its_case(anonymous: httpx.Client, ann: Person) -> None:
    body = {"email": ann.email.upper(), "name": "X", "password": PASSWORD}
    answer = anonymous.post("/auth/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


def test_wrong_fields_of_a_registration_are_named(anonymous: httpx.Client, ann: Person) -> None:
    answer = anonymous.post("/auth/register", json={"email": "x", "name": "\n", "password": "short"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["email", "name", "password"]


def test_login_gives_a_token_and_tells_nothing_when_wrong(anonymous: httpx.Client, ann: Person) -> None:
    answer = anonymous.post("/auth/login", json={"email": ann.email, "password": PASSWORD})
    assert answer.json().keys() == {
        "access_token", "token", "token_type", "expires_in", "id", "email", "name", "role",
    }  # fmt: skip
    assert answer.json()["token"] == answer.json()["access_token"]
    wrong = [
        anonymous.post("/auth/login", json={"email": email, "password": password}).json()
        for email, password in ((ann.email, "wrong"), ("nobody@example.org", PASSWORD))
    ]
    assert [one.pop("trace_id") for one in wrong]
    assert wrong[0] == wrong[1]
    assert wrong[0]["status"] == 401


def test_logout_kills_this_token_at_once(ann: Person) -> None:
    other = ann.client(ann.sign_in())
    assert ann.http.post("/auth/logout").status_code == 204
    assert ann.http.get("/auth/me").status_code == 401
    assert other.get("/auth/me").status_code == 200


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "é", "x" * 5_000])
def test_bad_tokens(address: str, admin: Person, token: str) -> None:
    headers = [(b"authorization", f"Bearer {token}".encode("latin-1"))]
    answer = httpx.get(f"{address}/auth/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_new_password_needs_the_old_one_and_ends_other_sessions(ann: Person) -> None:
    other = ann.client(ann.sign_in())
    missing = ann.http.patch("/auth/me", json={"password": "new password"})
    wrong = ann.http.patch("/auth/me", json={"password": "new password", "current_password": "x"})
    assert [one.json()["errors"][0]["field"] for one in (missing, wrong)] == ["current_password"] * 2
    changed = ann.http.patch("/auth/me", json={"password": "new password", "current_password": PASSWORD, "name": "New"})
    assert (changed.status_code, changed.json()["name"]) == (200, "New")
    assert other.get("/auth/me").status_code == 401
    assert ann.http.get("/auth/me").status_code == 200
    ann.sign_in("new password")


def every_user(person: Person, limit: int = 200) -> list[dict[str, Any]]:
    """All pages of the list."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = person.http.get("/users", params={"limit": limit} | ({"cursor": cursor} if cursor else {}))
        found += page.json()["items"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return found
        assert cursor in page.headers["link"]


def test_users_are_listed_and_a_new_name_shows_at_once(admin: Person, ann: Person) -> None:
    pages = every_user(admin, limit=2)
    assert [one["id"] for one in pages] == sorted({one["id"] for one in pages})
    assert ann.id in {one["id"] for one in pages}
    ann.http.patch("/auth/me", json={"name": "Annabel"})
    found = admin.http.get(f"/users/{ann.id}")
    assert found.json()["name"] == "Annabel"
    listed = {one["id"]: one for one in every_user(admin)}
    assert listed[ann.id]["name"] == "Annabel"


def test_entity_tags_of_users(ann: Person) -> None:
    first = ann.http.get("/auth/me")
    tag = first.headers["etag"]
    assert ann.http.get("/auth/me", headers={"if-none-match": tag}).status_code == 304
    for nothing in ({}, {"name": first.json()["name"]}):
        assert ann.http.patch("/auth/me", json=nothing).headers["etag"] == tag
    assert ann.http.patch("/auth/me", json={"name": "X"}, headers={"if-match": tag}).status_code == 200
    assert ann.http.patch("/auth/me", json={"name": "Y"}, headers={"if-match": tag}).status_code == 412


def test_roles_are_the_admins_and_count_at_once(admin: Person, ann: Person, bob: Person) -> None:
    assert ann.http.patch(f"/users/{bob.id}", json={"role": "admin"}).status_code == 403
    assert admin.http.patch(f"/users/{ann.id}", json={"role": "admin"}).json()["role"] == "admin"
    assert ann.http.patch(f"/users/{bob.id}", json={"role": "member"}).status_code == 200
    assert admin.http.patch(f"/users/{ann.id}", json={"role": "member"}).status_code == 200
    assert ann.http.patch(f"/users/{bob.id}", json={"role": "admin"}).status_code == 403
    last = admin.http.patch(f"/users/{admin.id}", json={"role": "member"})
    assert (last.status_code, last.json()["code"]) == (409, "last_admin")
    assert admin.http.patch("/users/999999", json={"role": "admin"}).status_code == 404


def test_an_address_is_one_address(address: str) -> None:
    for odd in ("<ann@example.org>", "ann,bob@example.org", '"ann"@example.org', "ann@[127.0.0.1]"):
        body = {"email": odd, "name": "Ann", "password": PASSWORD}
        answer = httpx.post(f"{address}/auth/register", json=body)
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["email"])


def test_of_two_who_know_the_old_password_one_sets_the_new_one(ann: Person) -> None:
    for _ in range(3):
        sessions = [ann.client(ann.sign_in()) for _ in range(4)]

        def change(number: int, sessions: list[httpx.Client] = sessions) -> int:
            body = {"password": f"another horse {number}", "current_password": PASSWORD}
            return sessions[number].patch("/auth/me", json=body).status_code

        with ThreadPoolExecutor(4) as several:
            codes = list(several.map(change, range(4)))
        assert codes.count(200) == 1, codes
        assert set(codes) <= {200, 401, 409, 412, 422}
        winner = f"another horse {codes.index(200)}"
        back = ann.client(ann.sign_in(winner))
        assert back.patch("/auth/me", json={"password": PASSWORD, "current_password": winner}).status_code == 200


def test_what_is_mine_is_kept_for_me_alone(ann: Person) -> None:
    for path in ("/auth/me", "/notifications/preferences"):
        answer = ann.http.get(path)
        assert answer.headers["cache-control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= {word.strip() for word in answer.headers["vary"].split(",")}
        again = ann.http.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, "private, no-cache")


def test_where_registration_is_off_admins_make_accounts(tmp_path: Path) -> None:
    with serving(tmp_path / "data", registration=False) as where:
        first = Person(where, "first")
        body = {"email": "second@example.org", "name": "Second", "password": PASSWORD}
        refused = httpx.post(f"{where}/auth/register", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "registration_closed")
        made = first.http.post("/auth/register", json=body)
        assert (made.status_code, made.json()["role"]) == (201, "member")
        token = httpx.post(f"{where}/auth/login", json={"email": body["email"], "password": PASSWORD}).json()["token"]
        second = {"authorization": f"Bearer {token}"}
        third = body | {"email": "third@example.org"}
        assert httpx.post(f"{where}/auth/register", json=third, headers=second).status_code == 403
        mutation = 'mutation { register(email: "x@example.org", name: "X", password: "correct horse") { id } }'
        graph = httpx.post(f"{where}/graphql", json={"query": mutation}).json()
        assert graph["errors"][0]["extensions"]["code"] == "registration_closed"
        first.close()

"""The files of the web pages, and what is there without them."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from support.server import Person
from tasktide.domain.errors import NotFound
from tasktide.interfaces.pages import Pages


def asking(pages: Pages) -> httpx.AsyncClient:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await pages(scope, receive, send)
        except NotFound as error:  # the gate around it makes a problem of it
            await Response(error.detail, 404)(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here")


@pytest.fixture
def built(tmp_path: Path) -> httpx.AsyncClient:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>Tasktide</title>" + "x" * 2_000)
    (tmp_path / "graphiql.html").write_text("graphiql")
    (tmp_path / "assets" / "app-1.js").write_text("code")
    (tmp_path.parent / "secret.txt").write_text("secret")
    return asking(Pages(tmp_path))


async def test_every_address_of_the_application_is_its_page(built: httpx.AsyncClient) -> None:
    for path in ("/app/", "/app/board", "/app/tasks/12"):
        answer = await built.get(path)
        assert answer.status_code == 200
        assert "<title>Tasktide" in answer.text
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-encoding"] == "gzip"
    assert (await built.get("/app/graphiql")).text == "graphiql"
    assert (await built.get("/", follow_redirects=False)).headers["location"] == "/app/"


async def test_files_that_never_change_are_kept_for_good(built: httpx.AsyncClient) -> None:
    answer = await built.get("/app/assets/app-1.js")
    assert answer.text == "code"
    assert "immutable" in answer.headers["cache-control"]
    assert (
        await built.get("/app/assets/app-1.js", headers={"if-none-match": answer.headers["etag"]})
    ).status_code == 304


@pytest.mark.parametrize(
    "path",
    ["/app/nope.js", "/app/assets/nope.js", "/app/%2e%2e/secret.txt", "/app/..%2fsecret.txt",
             "/app/assets/..%2f..%2fsecret.txt", "/app//etc/hostname.txt", "/app/a%00b.js", f"/app/{'x' * 5_000}.js"],
)  # fmt: skip
async def test_what_is_not_a_page_is_not_found(built: httpx.AsyncClient, path: str) -> None:
    answer = await built.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_without_pages_it_says_how_to_get_them(tmp_path: Path) -> None:
    answer = await asking(Pages(tmp_path / "nothing")).get("/app/board")
    assert answer.status_code == 404
    assert "make web" in answer.text


def test_pages_are_guarded_and_not_counted(anonymous: httpx.Client, admin: Person) -> None:
    for _ in range(30):
        answer = anonymous.get("/", follow_redirects=False)
        assert answer.status_code == 307
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    refused = anonymous.post("/app/board")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json()["code"] == "method_not_allowed"
    assert anonymous.get("/app/nope.js").json()["code"] == "not_found"
    assert anonymous.get("/tasks").status_code == 401, "the API is where it was"

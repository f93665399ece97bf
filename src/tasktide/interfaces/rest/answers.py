"""What the routes share: ids in paths, entity tags, links, and answers that are given once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from tasktide.domain import ids
from tasktide.domain.errors import NotFound
from tasktide.domain.replies import Reply, Reserved
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import WHOLE, Receive, Scope, Send
from tasktide.interfaces.status import Problem

Incoming = Request[Any, Any, Any]
Platforms = NamedDependency[Platform]

JSON_HEADER = (b"content-type", b"application/json")
JSON_LINE = b"content-type: application/json\r\n"
BODILESS = {204, 304}

_MEANINGS = {
    400: "The body is not JSON, or empty.",
    401: "No token, a bad one, or a dead one.",
    403: "You may not do this.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "Its state does not allow this.",
    412: "If-Match names another version.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "The content is wrong; `errors` names the fields.",
    429: "Too many requests; Retry-After tells when to come back.",
    503: "An engine is away or overloaded; Retry-After tells when to come back.",
}


class Answer:
    """A whole HTTP answer, sent as it is: routes return it to the framework, or to the lean way beside it."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.body = body
        self.status = status
        self.headers = headers or {}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it, as an ASGI application does."""
        if self.status not in BODILESS and WHOLE in scope.get("extensions", ()):
            await send({"type": WHOLE, "status": self.status, "head": self.head(), "body": self.body})
            return
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if "content-type" not in self.headers:
            headers.append(JSON_HEADER)
        if self.status not in BODILESS:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})

    def head(self) -> bytes:
        """Its header lines, each with its line end."""
        lines = [b"%b: %b\r\n" % (name.encode(), _one_line(value)) for name, value in self.headers.items()]
        if "content-type" not in self.headers:
            lines.append(JSON_LINE)
        return b"".join(lines)


def _one_line(value: str) -> bytes:
    if "\r" in value or "\n" in value:
        raise ValueError("a header value must be one line")
    return value.encode("latin-1")


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The documented errors of a route: those named, and those that every route may answer."""
    wanted = sorted({*statuses, 422, 429, 503})
    return {
        one: ResponseSpec(
            data_container=Problem,
            description=_MEANINGS[one],
            generate_examples=False,
            media_type="application/problem+json",
        )
        for one in wanted
    }


def path_id(text: str, noun: str) -> int:
    """The id in a path; NotFound when no such id can exist."""
    number = ids.parse(text)
    if number is None:
        raise NotFound(f"There is no {noun} {text[:40]}.")
    return number


# What is kept of an answer is for whoever asked, and asked about anew: one address may mean another thing to another.
_MINE = {"cache-control": "private, no-cache", "vary": "Authorization, Cookie"}


def traceparent_of(request: Incoming) -> str | None:
    """The W3C trace context of a request, as the gate found or made it."""
    found = request.scope.get("traceparent")
    return found if isinstance(found, str) else None


def encoded(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return Answer(msgspec.json.encode(value), status, headers)


def tagged(request: Incoming, value: Any, version: int, status: int = 200) -> Answer:
    """One thing with its version as entity tag; 304 when the client has that version."""
    tag = f'"{version}"'
    headers = {"etag": tag} | _MINE
    if status == 200 and request.method == "GET" and _names(request.headers.get("if-none-match"), tag):  # noqa: PLR2004
        return Answer(b"", 304, headers)
    return encoded(value, status, headers)


def expected_versions(request: Incoming) -> frozenset[int] | None:
    """The versions in If-Match; None without one or for `*`. A tag that can be no version of ours matches nothing."""
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    tags = [tag.strip() for tag in given.split(",")]
    numbers = [ids.parse(tag[1:-1]) for tag in tags if tag.startswith('"') and tag.endswith('"')]
    return frozenset(number for number in numbers if number is not None)


def paged(request: Incoming, page: Any, next_cursor: str | None) -> Answer:
    """A page with a Link to the next one."""
    headers = {}
    if next_cursor is not None:
        others = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        query = urlencode([*others, ("cursor", next_cursor)])
        headers["link"] = f'<{_path(request)}?{query}>; rel="next"'
    return encoded(page, headers=headers)


async def once(
    request: Incoming,
    platform: Platform,
    scope: str,
    reserve: Callable[[], Awaitable[int]],
    work: Callable[[Reserved | None], Awaitable[Reply]],
) -> Answer:
    """The answer of a creating request; with an Idempotency-Key, the same one each time it is asked."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return answer_of(await work(None))
    route = f"{scope} {request.method} {_path(request)}"
    reply, was_replayed = await platform.idempotency.once(route, key, await request.body(), reserve, work)
    return answer_of(reply, {"idempotent-replayed": "true"} if was_replayed else {})


def reply(value: Any, status: int, headers: dict[str, str] | None = None) -> Reply:
    """An answer that can be remembered."""
    return Reply(status, headers or {}, msgspec.json.encode(value))


def answer_of(kept: Reply, extra: dict[str, str] | None = None) -> Answer:
    """A reply as it is sent."""
    return Answer(kept.body, kept.status, kept.headers | (extra or {}))


def _path(request: Incoming) -> str:
    # Not request.url, which trips over a Host header that makes no sense.
    return quote(request.scope["path"])


def _names(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in tags or "*" in tags

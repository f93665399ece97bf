"""What every HTTP request passes on its way in and out: trace id, actor, rate limit, body limit, headers."""

import asyncio
import contextlib
import re
import time
from functools import lru_cache
from math import ceil
from random import Random
from typing import NoReturn

import structlog

from tasktide.domain.cancellation import is_cancelled
from tasktide.domain.errors import TasktideError, Unauthenticated
from tasktide.domain.rates import Tier, Verdict
from tasktide.interfaces import actor as actors
from tasktide.interfaces import session, status
from tasktide.interfaces.pages import HOME, is_page
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import WHOLE, App, Headers, Message, Receive, Scope, Send
from tasktide.interfaces.status import HttpError
from tasktide.interfaces.watchdog import Watchdog
from tasktide.usecases.admission import refusal

UNCOUNTED = {
    "/health/liveness",
    "/health/readiness",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/",
    "/app",
}
UNCOUNTED_BELOW = ("/docs/", HOME)
STREAMS = {"/events"}
# Methods that change nothing.
SAFE = {"GET", "HEAD", "OPTIONS"}
# So long a client may take for the answer that its request was cut off.
TELL_S = 0.5
SIGN_IN = {"/auth/login", "/auth/register"}
# Of a Content-Length: as many as a number of bytes can have.
LENGTH_DIGITS = 20
DRAIN_S = 2.0
DRAIN_BYTES = 64 * 1024 * 1024
# Trace ids must differ, not be unguessable: asking the kernel for each cost 4 % of a submit.
_random = Random()  # noqa: S311
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SLASHES = re.compile("//+")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            b"font-src 'self' data:; "
            b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        ),
    ),
]
SECURITY_LINES = b"".join(b"%b: %b\r\n" % header for header in SECURITY)


class Gate:
    """An ASGI application around the others. Answers what it refuses as a problem."""

    def __init__(self, app: App, platform: Platform) -> None:
        self._app = app
        self._platform = platform
        self._logger = structlog.get_logger("gateway")
        self._watchdog = Watchdog(platform.limits.body_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        if not is_page(scope["path"]):
            scope["path"] = canonical(scope["path"])
        if scope["method"] == "HEAD" and scope["path"] not in STREAMS:
            # A HEAD is a GET whose body the server leaves out, going by its own copy of the scope.
            scope = {**scope, "method": "GET"}
        headers = scope.get("header_map")
        if headers is None:
            headers = scope["header_map"] = _combined(scope)
        trace_id, scope["traceparent"] = traces(headers)
        scope["trace_id"] = trace_id
        answer = _Answer(send, trace_id)
        try:
            await self._admit(scope, headers, answer)
            body = self._body(scope, headers, receive)
            scope["body"] = body
            if body.is_too_large:
                await body.refuse()
            await self._app(scope, body.receive, answer.send)
        except TasktideError as error:
            await answer.problem(*status.problem(error, trace_id))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - logged with its trace
            if is_cancelled(error):
                await self._cut_off(scope, answer)
            else:
                await self._failed(scope, answer, error)
        finally:
            self._platform.stats.request("http", scope["method"], answer.status, time.perf_counter() - began)

    async def _failed(self, scope: Scope, answer: "_Answer", error: BaseException) -> None:
        trace_id, method = scope["trace_id"], scope["method"]
        self._logger.error("request failed", trace_id=trace_id, method=method, path=scope["path"], exc_info=error)
        await answer.problem(*status.unexpected(trace_id))

    async def _cut_off(self, scope: Scope, answer: "_Answer") -> None:
        """The server ends, and has waited for this request as long as it does: the request ends with an answer.

        CancelledError when the client does not take it.
        """
        trace_id, method = scope["trace_id"], scope["method"]
        self._logger.warning("request cut off", trace_id=trace_id, method=method, path=scope["path"])
        try:
            async with asyncio.timeout(TELL_S):
                await answer.problem(*status.cut_off(trace_id, may_repeat=method in SAFE))
        except TimeoutError:  # Python 3.11 leaves the cancellation as it is
            raise asyncio.CancelledError from None

    async def _admit(self, scope: Scope, headers: dict[bytes, bytes], answer: "_Answer") -> None:
        authorization = headers.get(b"authorization")
        actor = scope["actor"] = None
        token = session.token(headers) if authorization is None and session.CSRF_HEADER in headers else None
        if authorization is not None or token is not None:
            given = f"Bearer {token}" if authorization is None else authorization.decode("latin-1")
            try:
                actor = scope["actor"] = await actors.resolve(self._platform.users, given)
            except Unauthenticated as failure:
                scope["actor_failure"] = failure
        admission = self._platform.admission
        path = scope["path"]
        if not admission.enabled or path in UNCOUNTED or path.startswith(UNCOUNTED_BELOW):
            return
        client = scope.get("client")
        if path in SIGN_IN:
            actor = None  # guessing passwords counts by address, whoever else one is signed in as
        address = client[0] if client else "unknown"
        verdict = await admission.admit(actor, address)
        answer.extra += rate_headers(admission.tiers(actor), verdict)
        if not verdict.allowed:
            raise refusal(verdict)

    def _body(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> "Body":
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise HttpError(415, "The body must not be compressed.")
        limits = self._platform.limits
        most = limits.batch_bytes if scope["path"].endswith("/batch") else limits.body_bytes
        body = Body(receive, most, limits.body_s, self._watchdog, scope.get("whole_body"))
        length = headers.get(b"content-length", b"0")
        if len(length) > LENGTH_DIGITS:
            raise HttpError(400, f"The Content-Length has more than {LENGTH_DIGITS} digits.")
        body.is_too_large = length.isdigit() and int(length) > most
        return body


def _combined(scope: Scope) -> dict[bytes, bytes]:
    """Header values by name; lines of one name are one list (RFC 9110, 5.3), for whoever reads the scope too."""
    headers = dict(scope["headers"])
    if len(headers) != len(scope["headers"]):
        headers = {}
        for name, value in scope["headers"]:
            known = headers.get(name)
            headers[name] = value if known is None else known + (b"; " if name == b"cookie" else b", ") + value
        scope["headers"] = list(headers.items())
    return headers


class Body:
    """A request's body on its way in: at most so many bytes, in at most so many seconds."""

    __slots__ = ("_deadline", "_given", "_is_whole", "_limit_s", "_receive", "_received", "_watchdog", "is_too_large",
                 "most")  # fmt: skip

    def __init__(
        self, receive: Receive, most: int, limit_s: float, watchdog: Watchdog, given: bytes | None = None
    ) -> None:
        self._receive = receive
        self._limit_s = limit_s
        self._watchdog = watchdog
        self._given = given  # all of it, when it came with the head
        self._received = 0
        self._is_whole = False
        self._deadline = 0.0
        self.most = most
        self.is_too_large = False

    async def refuse(self) -> NoReturn:
        """Say that it is too large, once the client has had time to send it and to listen."""
        await _drain(self._receive)
        raise _too_large(self.most)

    async def whole(self) -> bytes:
        """All of it."""
        if self._given is not None:
            return self._given
        try:
            return await self._watchdog.watch(self._whole())
        except TimeoutError:
            raise self._late() from None

    async def receive(self) -> Message:
        """As ASGI's receive, for whoever reads it part by part."""
        if self._is_whole:
            return await self._receive()  # what comes after the body is the client's leaving, whenever that is
        now = time.monotonic()
        self._deadline = self._deadline or now + self._limit_s
        try:
            async with asyncio.timeout(max(0.0, self._deadline - now)):
                return await self._part()
        except TimeoutError:
            raise self._late() from None

    async def _whole(self) -> bytes:
        parts: list[bytes] = []
        while True:
            message = await self._part()
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _part(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._received > self.most:
            if not self._is_whole:
                await self.refuse()
            raise _too_large(self.most)
        return message

    def _late(self) -> HttpError:
        # What comes of the body after all must not be taken for the next request.
        return HttpError(408, f"The body did not arrive within {self._limit_s:g} s.", {"connection": "close"})


class _Answer:
    """The way out: adds the headers that every answer has, and remembers the status."""

    def __init__(self, send: Send, trace_id: str) -> None:
        self._send = send
        self.extra: Headers = [(b"x-request-id", trace_id.encode())]
        self.status = 499  # until an answer has begun: the client went away
        self._has_begun = False

    async def send(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == WHOLE:
            self.status = message["status"]
            self._has_begun = True
            message["head"] += lines(self.extra)
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            self._has_begun = True
            message["headers"] = [*message.get("headers", ()), *SECURITY, *self.extra]
        try:
            await self._send(message)
        except asyncio.CancelledError:
            if message["type"] != "http.response.body":
                self._has_begun = False  # it waited for room: nothing of it is out
            raise

    async def problem(self, code: int, headers: dict[str, str], body: bytes) -> None:
        """Answer with a problem, unless an answer is under way already."""
        if self._has_begun:
            return
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": code, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def canonical(path: str) -> str:
    """A path as the routes spell it. They are found by other spellings too, which must not get round the rules here."""
    if path.startswith("/") and not path.endswith("/") and "//" not in path:
        return path
    return "/" + _SLASHES.sub("/", path.strip("/"))


def traces(headers: dict[bytes, bytes]) -> tuple[str, str | None]:
    """The request's id, and the W3C trace context it belongs to: as given, else made."""
    given = headers.get(b"x-request-id")
    is_given = given is not None and _REQUEST_ID.fullmatch(given) is not None
    trace_id = given.decode() if given is not None and is_given else f"{_random.getrandbits(128):032x}"
    context = headers.get(b"traceparent")
    if context is not None and _TRACEPARENT.fullmatch(context):
        return trace_id, context.decode()
    if is_given and not _TRACE_ID.fullmatch(trace_id):
        return trace_id, None
    return trace_id, f"00-{trace_id}-{trace_id[:16]}-00"


def lines(extra: Headers) -> bytes:
    """The header lines of every answer, and some of this one."""
    return b"".join([SECURITY_LINES, *(b"%b: %b\r\n" % header for header in extra)])


def rate_headers(tiers: tuple[Tier, ...], verdict: Verdict) -> Headers:
    """The limits, and what is left of the tightest."""
    return [(b"ratelimit-policy", _policy(tiers)), (b"ratelimit", _left(verdict))]


def _left(verdict: Verdict) -> bytes:
    tightest = verdict.tightest
    name, remaining = tightest.tier.name.encode(), max(0, tightest.remaining)
    return b'"%b";r=%d;t=%d' % (name, remaining, max(0, ceil(tightest.reset_s)))


@lru_cache(maxsize=16)
def _policy(tiers: tuple[Tier, ...]) -> bytes:
    return b", ".join(tier.policy for tier in tiers)


async def _drain(receive: Receive) -> None:
    """Read on for a moment: a client that is cut off while it sends would see no answer, only a broken connection."""
    left = DRAIN_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _too_large(most: int) -> HttpError:
    return HttpError(413, f"The body is larger than {most} bytes.", {"connection": "close"})

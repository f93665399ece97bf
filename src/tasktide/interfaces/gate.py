"""What every HTTP request passes on its way in and out: trace id, actor, rate limit, body limit, headers."""

import asyncio
import contextlib
import re
import time
from random import Random

import structlog

from tasktide.domain.errors import TasktideError, Unauthenticated
from tasktide.domain.rates import Verdict
from tasktide.interfaces import actor as actors
from tasktide.interfaces import status
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import App, Headers, Message, Receive, Scope, Send
from tasktide.interfaces.status import HttpError
from tasktide.usecases.admission import refusal

UNCOUNTED = {
    "/health/liveness",
    "/health/readiness",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
}
STREAMS = {"/events"}
SIGN_IN = {"/auth/login", "/auth/register"}
DRAIN_S = 2.0
DRAIN_BYTES = 64 * 1024 * 1024
# Trace ids must differ, not be unguessable: asking the kernel for each cost 4 % of a submit.
_random = Random()  # noqa: S311
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        ),
    ),
]


class Gate:
    """An ASGI application around the others. Answers what it refuses as a problem."""

    def __init__(self, app: App, platform: Platform) -> None:
        self._app = app
        self._platform = platform
        self._logger = structlog.get_logger("gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        if scope["method"] == "HEAD" and scope["path"] not in STREAMS:
            # A HEAD is a GET whose body the server leaves out, going by its own copy of the scope.
            scope = {**scope, "method": "GET"}
        headers = scope["header_map"] = dict(scope["headers"])
        scope["trace_id"] = trace_id = _trace_id(headers)
        scope["traceparent"] = _traceparent(headers, trace_id)
        answer = _Answer(send, [(b"x-request-id", trace_id.encode()), *SECURITY])
        try:
            await self._admit(scope, headers, answer)
            await self._app(scope, await self._limited(scope, headers, receive), answer.send)
        except TasktideError as error:
            await answer.problem(*status.problem(error, trace_id))
        except asyncio.CancelledError:
            raise
        except Exception:
            self._logger.exception("request failed", trace_id=trace_id, method=scope["method"], path=scope["path"])
            await answer.problem(*status.unexpected(trace_id))
        finally:
            self._platform.stats.request("http", scope["method"], answer.status, time.perf_counter() - began)

    async def _admit(self, scope: Scope, headers: dict[bytes, bytes], answer: "_Answer") -> None:
        authorization = headers.get(b"authorization")
        scope["actor"] = None
        try:
            text = None if authorization is None else authorization.decode("latin-1")
            scope["actor"] = await actors.resolve(self._platform.users, text)
        except Unauthenticated as failure:
            scope["actor_failure"] = failure
        admission = self._platform.admission
        if not admission.enabled or scope["path"] in UNCOUNTED or scope["path"].startswith("/docs/"):
            return
        client = scope.get("client")
        # Guessing passwords counts by address, whoever else one is signed in as.
        actor = None if scope["path"] in SIGN_IN else scope["actor"]
        verdict = await admission.admit(actor, client[0] if client else "unknown")
        answer.extra += _rate_headers(verdict)
        if not verdict.allowed:
            raise refusal(verdict)

    async def _limited(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        limits = self._platform.limits
        most = limits.batch_bytes if scope["path"].rstrip("/").endswith("/batch") else limits.body_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            await _drain(receive)
            raise _too_large(most)
        received = 0
        is_whole = False
        deadline = time.monotonic() + limits.body_s

        async def limited() -> Message:
            nonlocal received, is_whole
            if is_whole:
                return await receive()  # what comes after the body is the client's leaving, whenever that is
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise HttpError(408, f"The body did not arrive within {limits.body_s:g} s.") from None
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if received > most:
                if not is_whole:
                    await _drain(receive)
                raise _too_large(most)
            return message

        return limited


class _Answer:
    """The way out: adds the headers that every answer has, and remembers the status."""

    def __init__(self, send: Send, extra: Headers) -> None:
        self._send = send
        self.extra = extra
        self.status = 499  # until an answer has begun: the client went away
        self._has_begun = False

    async def send(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._has_begun = True
            message["headers"] = [*message.get("headers", ()), *self.extra]
        await self._send(message)

    async def problem(self, code: int, headers: dict[str, str], body: bytes) -> None:
        """Answer with a problem, unless an answer is under way already."""
        if self._has_begun:
            return
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": code, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def _trace_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else f"{_random.getrandbits(128):032x}"


def _traceparent(headers: dict[bytes, bytes], trace_id: str) -> str | None:
    given = headers.get(b"traceparent", b"").decode("latin-1")
    if _TRACEPARENT.fullmatch(given):
        return given
    if len(trace_id) == 32 and all(c in "0123456789abcdef" for c in trace_id):  # noqa: PLR2004 - W3C trace ids
        return f"00-{trace_id}-{trace_id[:16]}-00"
    return None


def _rate_headers(verdict: Verdict) -> Headers:
    policy = ", ".join(f'"{usage.tier.name}";q={usage.tier.quota};w={usage.tier.window_s}' for usage in verdict.usage)
    tightest = verdict.tightest
    left = f'"{tightest.tier.name}";r={max(0, tightest.remaining)};t={max(0, -int(-tightest.reset_s // 1))}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


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

"""The one table from errors to HTTP statuses and WebSocket close codes, and the problem that is shown."""

from http import HTTPStatus
from typing import Any

import msgspec

from tasktide.domain import errors
from tasktide.domain.errors import FieldError, TasktideError

HTTP: dict[type[TasktideError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.Invalid: 422,
    errors.Limited: 429,
    errors.Unavailable: 503,
}
CLOSE: dict[type[TasktideError], int] = {
    errors.Invalid: 4400,
    errors.Unauthenticated: 4401,
    errors.Limited: 4429,
    errors.Unavailable: 1013,
}
CLOSE_TIMEOUT = 4408
CLOSE_SLOW = 4429
PROBLEM = "application/problem+json"


class HttpError(TasktideError):
    """What only HTTP can get wrong: a body that is no JSON, too large, of another type; a method; a pace."""

    _CODES = {  # noqa: RUF012 - never changed
        400: "malformed",
        404: "not_found",
        405: "method_not_allowed",
        408: "request_timeout",
        413: "too_large",
        415: "unsupported_media_type",
    }

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, code=self._CODES.get(status, "http_error"))
        self.status = status
        self.headers = headers or {}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457: what went wrong, for people (`title`, `detail`) and for programs (`type`, `code`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    trace_id: str
    errors: list[FieldError] = []


def http_status(error: TasktideError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, HttpError):
        return error.status
    return next((status for kind, status in HTTP.items() if isinstance(error, kind)), 500)


def close_code(error: TasktideError) -> int:
    """The WebSocket close code of an error."""
    return next((code for kind, code in CLOSE.items() if isinstance(error, kind)), 1011)


def problem(error: TasktideError, trace_id: str) -> tuple[int, dict[str, str], bytes]:
    """An error as an HTTP answer: status, headers and body."""
    status = http_status(error)
    shown = Problem(
        type=f"urn:tasktide:problem:{error.code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.detail,
        code=error.code,
        trace_id=trace_id,
        errors=list(getattr(error, "errors", ())),
    )
    return status, {"content-type": PROBLEM} | _headers(error), msgspec.json.encode(shown)


def unexpected(trace_id: str) -> tuple[int, dict[str, str], bytes]:
    """The answer when the fault is ours; the log has the rest under the trace id."""
    error = TasktideError("Something went wrong on our side; the log tells what.", code="internal")
    return problem(error, trace_id)


def cut_off(trace_id: str, *, may_repeat: bool) -> tuple[int, dict[str, str], bytes]:
    """The answer when the server ends before the request: what is read may be repeated, the rest may have been done."""
    if may_repeat:
        return problem(errors.Unavailable("gateway", "The server is stopping: ask again."), trace_id)
    error = TasktideError(
        "The server is stopping. What was asked for may have been done all the same.", code="internal"
    )
    return problem(error, trace_id)


def _headers(error: Any) -> dict[str, str]:
    headers = dict(getattr(error, "headers", {}))
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, errors.Limited | errors.Unavailable):
        headers["retry-after"] = str(error.retry_after_s)
    return headers

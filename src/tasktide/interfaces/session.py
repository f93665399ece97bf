"""A browser's session: the token in a cookie that no script can read.

A browser sends its cookies along with requests that other sites make it send. So the cookie counts only beside a
header that no page of another origin can add without being asked first (CORS), and is not sent by links from there
(SameSite=Strict).
"""

from collections.abc import Mapping
from typing import Protocol

from tasktide.interfaces.protocol import Scope

COOKIE = "tasktide_session"
CSRF_HEADER = b"x-csrf-protection"
# Cookies of other applications on the same host come along; far more than this is an attack on our time.
COOKIES_LENGTH = 16_384


class ResponseHeaders(Protocol):
    """Where a cookie is set."""

    def append(self, key: str, value: str) -> None:
        """Add one header."""
        ...


def token(headers: Mapping[bytes, bytes]) -> str | None:
    """The token in the cookies of a request or of a handshake; None without one."""
    given = headers.get(b"cookie")
    if given is None or len(given) > COOKIES_LENGTH:
        return None
    # Not http.cookies: it stops reading at the first cookie that it does not like, which may be anybody's.
    for cookie in given.decode("latin-1").split(";"):
        name, _, value = cookie.partition("=")
        if name.strip() == COOKIE:
            return value.strip() or None
    return None


def give(scope: Scope, headers: ResponseHeaders, signed: str, expires_in_s: int) -> None:
    """Sign the browser in."""
    headers.append("set-cookie", _cookie(scope, signed, expires_in_s))
    headers.append("cache-control", "no-store")


def take(scope: Scope, headers: ResponseHeaders) -> None:
    """Make the browser forget its token."""
    headers.append("set-cookie", _cookie(scope, "", 0))


def _cookie(scope: Scope, value: str, lifetime_s: int) -> str:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Strict{secure}"

"""JSON Web Tokens, HS256."""

import hmac

import jwt

from tasktide.domain import times
from tasktide.domain.errors import Unauthenticated
from tasktide.domain.ids import UserId
from tasktide.domain.users import Session
from tasktide.ports.clock import Clock

ALGORITHM = "HS256"


class JwtTokens:
    """`ports.tokens.Tokens`: `sub` is the user, `sid` the session, `exp` its end."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def issue(self, session: Session) -> str:
        """See the port."""
        claims = {
            "sub": str(session.user_id),
            "sid": session.id,
            "iat": times.epoch_ms(self._clock.now()) // 1000,
            "exp": times.epoch_ms(session.expires_at) // 1000,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Session:
        """See the port."""
        try:
            # Expiry is checked against our clock, not the library's.
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                options={"require": ["sub", "sid", "exp"], "verify_exp": False, "verify_iat": False},
            )
            user_id, expires_ms = UserId(int(claims["sub"])), int(claims["exp"]) * 1000
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise Unauthenticated("The token is not valid.", code="invalid_token") from None
        expires_at = times.at(expires_ms)
        if expires_at <= self._clock.now():
            raise Unauthenticated("The token has expired.", code="token_expired")
        return Session(id=str(claims["sid"]), user_id=user_id, expires_at=expires_at)

    def fingerprint(self, content: bytes) -> bytes:
        """See the port."""
        return hmac.digest(self._secret.encode(), content, "sha256")

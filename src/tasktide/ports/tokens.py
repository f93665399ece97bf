"""Passwords and access tokens."""

from typing import Protocol

from tasktide.domain.users import Session


class Tokens(Protocol):
    """Makes and reads signed tokens that name a session."""

    def issue(self, session: Session) -> str:
        """A token that is valid until the session expires."""
        ...

    def read(self, token: str) -> Session:
        """The session that a token names; Unauthenticated when it is forged, damaged or expired."""
        ...

    def fingerprint(self, content: bytes) -> bytes:
        """A digest that nobody without the secret can compute; the same for the same content."""
        ...


class Passwords(Protocol):
    """Hashes passwords slowly, off the event loop."""

    async def hash(self, password: str) -> str:
        """A salted hash that carries its parameters."""
        ...

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password fits; with no hash it takes as long and says no."""
        ...

"""Answers that are remembered, and what is known under an idempotency key."""

from msgspec import Struct


class Reply(Struct, frozen=True):
    """An answer as it was given."""

    status: int
    headers: dict[str, str]
    body: bytes


class Reserved(Struct, frozen=True):
    """Ids set aside for a request; resumed: a first try may have used them already."""

    first_id: int
    is_resumed: bool = False


class Claim(Struct, frozen=True, kw_only=True):
    """What is known under a key: whose body it was, the first reserved id, and how far it came."""

    digest: bytes
    first_id: int
    reply: Reply | None = None
    running: bool = False

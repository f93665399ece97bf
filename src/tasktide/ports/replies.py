"""Remembered replies: what makes a repeated request harmless."""

from typing import Protocol

from tasktide.domain.replies import Claim, Reply
from tasktide.domain.times import Timestamp


class Replies(Protocol):
    """One row per idempotency key, durable before the work it guards begins.

    A key claimed by a process that died is not running: the next caller with the same digest takes it over,
    with the ids reserved the first time, so that the repeated work has the same effect.
    """

    async def claim(self, key: str, digest: bytes, first_id: int, expires_at: Timestamp) -> Claim | None:
        """Take the key; None: it is the caller's now. Otherwise what was found; if resumable it is taken over."""
        ...

    async def settle(self, key: str, reply: Reply) -> None:
        """Keep the answer for those who ask again."""
        ...

    async def release(self, key: str, *, forget: bool) -> None:
        """Stop running without an answer: forget the key, or leave it to be taken over with its ids."""
        ...

    async def purge(self, now: Timestamp) -> int:
        """Remove expired keys; how many there were."""
        ...

"""Idempotency keys: the same request twice has one effect and one answer."""

import hashlib
from collections.abc import Awaitable, Callable

from tasktide.domain.errors import Conflict, FieldError, Invalid, TasktideError, Unavailable
from tasktide.domain.replies import Reply, Reserved
from tasktide.domain.times import later
from tasktide.ports.clock import Clock
from tasktide.ports.replies import Replies
from tasktide.ports.tokens import Tokens

KEPT_S = 86_400.0
KEY_LENGTH = 255


class Idempotency:
    """Reserves the ids of a keyed request before its work, so that a crash in between can be repeated."""

    def __init__(self, *, replies: Replies, tokens: Tokens, clock: Clock) -> None:
        self._replies = replies
        self._tokens = tokens
        self._clock = clock

    async def once(
        self,
        scope: str,
        key: str,
        body: bytes,
        reserve: Callable[[], Awaitable[int]],
        work: Callable[[Reserved], Awaitable[Reply]],
    ) -> tuple[Reply, bool]:
        """The answer of `work`, called with what was reserved; True when it was given before.

        Invalid when the key was used for another body, Conflict while the first request still runs.
        """
        _check(key)
        name = hashlib.sha256(f"{scope}\n{key}".encode()).hexdigest()
        # Keyed, because a body may hold a password, and the digest outlives the request.
        digest = self._tokens.fingerprint(body)
        reserved = Reserved(await reserve())
        claim = await self._replies.claim(name, digest, reserved.first_id, later(self._clock.now(), KEPT_S))
        if claim is not None:
            if claim.digest != digest:
                raise Invalid([FieldError("Idempotency-Key", "was used for another request body")])
            if claim.reply is not None:
                return claim.reply, True
            if claim.running:
                raise Conflict("The first request with this key is still running.", code="still_running")
            reserved = Reserved(claim.first_id, is_resumed=True)
        return await self._work(name, reserved, work), False

    async def _work(self, name: str, reserved: Reserved, work: Callable[[Reserved], Awaitable[Reply]]) -> Reply:
        try:
            reply = await work(reserved)
        except Unavailable:
            # It may have reached the log all the same: the next try must use the same ids.
            await self._replies.release(name, forget=False)
            raise
        except TasktideError:
            # A refusal is not remembered, but ids that a first try may have used are.
            await self._replies.release(name, forget=not reserved.is_resumed)
            raise
        except BaseException:
            await self._replies.release(name, forget=False)
            raise
        await self._replies.settle(name, reply)
        return reply


def _check(key: str) -> None:
    if not 1 <= len(key) <= KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise Invalid([FieldError("Idempotency-Key", f"must be 1 to {KEY_LENGTH} printable ASCII characters")])

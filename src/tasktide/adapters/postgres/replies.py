"""Remembered replies on PostgreSQL."""

import asyncio
import secrets

import msgspec

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.domain.replies import Claim, Reply
from tasktide.domain.times import Timestamp, later
from tasktide.ports.clock import Clock

SQL = resources.statements(__package__, "replies")
# Longer than any request may take: an owner that has not answered by then is gone.
OWNED_S = 60.0
# Keys that are looked up at once.
TURNS = 64


class PostgresReplies:
    """`ports.replies.Replies` on the table `replies`, for any number of gateways."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._owner = secrets.token_hex(8)
        # A key that this process owns in the table but not in here is one whose end could not be written down.
        self._running: set[str] = set()
        self._turns = [asyncio.Lock() for _ in range(TURNS)]

    async def claim(self, key: str, digest: bytes, first_id: int, expires_at: Timestamp) -> Claim | None:
        """See the port."""
        # In the order of the calls: whoever came first here has written the key when the next one looks.
        async with self._turns[hash(key) % TURNS]:
            is_first = key not in self._running
            self._running.add(key)
            is_won = False
            try:
                claim = await self._claim(key, digest, first_id, expires_at, is_first=is_first)
                is_won = claim is None or (claim.reply is None and not claim.running and claim.digest == digest)
            finally:
                if is_first and not is_won:
                    self._running.discard(key)
        return claim

    async def settle(self, key: str, reply: Reply) -> None:
        """See the port."""
        self._running.discard(key)
        headers = msgspec.json.encode(reply.headers).decode()
        await self._database.execute(SQL["settle"], key, reply.status, headers, reply.body)

    async def release(self, key: str, *, forget: bool) -> None:
        """See the port."""
        self._running.discard(key)
        await self._database.execute(SQL["forget" if forget else "release"], key)

    async def purge(self, now: Timestamp) -> int:
        """See the port."""
        return await self._database.execute(SQL["purge"], now)

    async def _claim(
        self, key: str, digest: bytes, first_id: int, expires_at: Timestamp, *, is_first: bool
    ) -> Claim | None:
        now = self._clock.now()
        owned_until = later(now, OWNED_S)
        async with self._database.transaction() as connection:
            await connection.execute(SQL["lock"], key)
            rows = await connection.fetch(SQL["get"], key, now)
            if not rows:
                await connection.execute(SQL["claim"], key, digest, first_id, self._owner, owned_until, expires_at)
                return None
            stored, first, owner, until, status, headers, body = rows[0]
            if status is not None:
                return Claim(digest=stored, first_id=first, reply=Reply(status, msgspec.json.decode(headers), body))
            running = not is_first if owner == self._owner else owner is not None and until > now
            if not running and stored == digest:
                await connection.execute(SQL["take_over"], key, self._owner, owned_until)
            return Claim(digest=stored, first_id=first, running=running)

"""Remembered replies on SQLite."""

import secrets

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain.replies import Claim, Reply
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock

SQL = resources.statements(__package__, "replies")


class SqliteReplies:
    """`ports.replies.Replies` on the table `replies`; every process that opens the file is an owner of its own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._owner = secrets.token_hex(8)
        # A key that this process owns on file but not in here is one whose end could not be written down.
        self._running: set[str] = set()

    async def claim(self, key: str, digest: bytes, first_id: int, expires_at: Timestamp) -> Claim | None:
        """See the port."""
        is_first = key not in self._running
        self._running.add(key)
        try:
            claim = await self._database.run(
                lambda tx: self._claim(tx, key, digest, first_id, expires_at, is_first=is_first)
            )
        except BaseException:
            if is_first:
                self._running.discard(key)
            raise
        is_won = claim is None or (claim.reply is None and not claim.running and claim.digest == digest)
        if is_won:
            self._running.add(key)
        elif is_first:
            self._running.discard(key)
        return claim

    def _claim(
        self,
        transaction: Transaction,
        key: str,
        digest: bytes,
        first_id: int,
        expires_at: Timestamp,
        *,
        is_first: bool,
    ) -> Claim | None:
        row = transaction.execute(SQL["get"], (key, self._clock.now())).fetchone()
        if row is None:
            transaction.execute(SQL["claim"], (key, digest, first_id, self._owner, expires_at))
            return None
        stored, first, owner, status, headers, body = row
        if status is not None:
            return Claim(digest=stored, first_id=first, reply=Reply(status, msgspec.json.decode(headers), body))
        running = owner == self._owner and not is_first
        if not running and stored == digest:
            transaction.execute(SQL["take_over"], (key, self._owner))
        return Claim(digest=stored, first_id=first, running=running)

    async def settle(self, key: str, reply: Reply) -> None:
        """See the port."""
        self._running.discard(key)
        row = (key, reply.status, msgspec.json.encode(reply.headers).decode(), reply.body)
        await self._database.run(lambda tx: tx.execute(SQL["settle"], row))

    async def release(self, key: str, *, forget: bool) -> None:
        """See the port."""
        self._running.discard(key)
        await self._database.run(lambda tx: tx.execute(SQL["forget" if forget else "release"], (key,)))

    async def purge(self, now: Timestamp) -> int:
        """See the port."""
        return await self._database.run(lambda tx: tx.execute(SQL["purge"], (now,)).rowcount)

"""Remembered replies on SQLite."""

import secrets

import msgspec

from tasktide.adapters.sqlite import statements
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain.replies import Claim, Reply
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock

SQL = statements.load("replies")


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
        now = self._clock.now()

        def work(transaction: Transaction) -> Claim | None:
            row = transaction.execute(SQL["get"], (key, now)).fetchone()
            if row is None:
                transaction.execute(SQL["claim"], (key, digest, first_id, self._owner, expires_at))
                return None
            stored, first, owner, status, headers, body = row
            if status is not None:
                reply = Reply(status, msgspec.json.decode(headers), body)
                return Claim(digest=stored, first_id=first, reply=reply)
            running = owner == self._owner and key in self._running
            if not running and stored == digest:
                transaction.execute(SQL["take_over"], (key, self._owner))
            return Claim(digest=stored, first_id=first, running=running)

        claim = await self._database.run(work)
        if claim is None or (claim.reply is None and claim.digest == digest):
            self._running.add(key)
        return claim

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

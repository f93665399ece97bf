"""Sessions remembered in Redis, in front of the store that keeps them."""

from collections.abc import Sequence

import msgspec

from tasktide.adapters.redis.client import Client
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import UserId
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Session
from tasktide.ports.users import SessionStore

# A session that was closed while Redis could not be told is still taken from it for at most this long.
TTL_MS = 30_000
# What is kept of a session that was closed, so that nobody who has just read it puts it back.
CLOSED = b"closed"

_decode = msgspec.json.Decoder(Session).decode


class RedisSessions:
    """`ports.users.SessionStore`: written through, and never the only copy."""

    def __init__(self, client: Client, durable: SessionStore) -> None:
        self._client = client
        self._durable = durable

    async def open(self, session: Session) -> None:
        """See the port."""
        await self._durable.open(session)
        await self._say("SET", self._key(session.id), msgspec.json.encode(session), "PX", TTL_MS)

    async def get(self, session_id: str, now: Timestamp) -> Session | None:
        """See the port."""
        try:
            body = await self._client.call("GET", self._key(session_id))
        except Unavailable:
            return await self._durable.get(session_id, now)
        if body == CLOSED:
            return None
        if body is not None:
            session = _decode(body)
            return session if session.expires_at > now else None
        found = await self._durable.get(session_id, now)
        if found is not None:
            # Not over the word that it was closed in the meantime.
            await self._say("SET", self._key(session_id), msgspec.json.encode(found), "PX", TTL_MS, "NX")
        return found

    async def close(self, session_id: str) -> None:
        """See the port."""
        await self._durable.close(session_id)
        await self._forget([session_id])

    async def close_others(self, user_id: UserId, keep: str) -> Sequence[str]:
        """See the port."""
        closed = await self._durable.close_others(user_id, keep)
        await self._forget(closed)
        return closed

    async def purge(self, now: Timestamp) -> int:
        """See the port."""
        return await self._durable.purge(now)

    def _key(self, session_id: str) -> str:
        return self._client.key(f"session:{session_id}")

    async def _forget(self, session_ids: Sequence[str]) -> None:
        for one in session_ids:
            await self._say("SET", self._key(one), CLOSED, "PX", 2 * TTL_MS)

    async def _say(self, *command: str | bytes | int) -> None:
        try:
            await self._client.call(*command)
        except Unavailable:
            return

"""Accounts, sessions and preferences on SQLite."""

import sqlite3
from collections.abc import Collection, Sequence

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain.errors import Conflict, Stale
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Preferences
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Account, Session

SQL = resources.statements(__package__, "users")

_decode_accounts = msgspec.json.Decoder(list[Account]).decode
_decode_session = msgspec.json.Decoder(Session).decode
_decode_ids = msgspec.json.Decoder(list[str]).decode
_decode_preferences = msgspec.json.Decoder(list[tuple[UserId, Preferences]]).decode


class SqliteUsers:
    """`ports.users.UserStore` on the table `users`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, account: Account) -> Account:
        """See the port."""
        user = account.user
        row = (
            user.id,
            user.email,
            user.name,
            user.role,
            user.created_at,
            account.password_hash,
            account.version,
        )

        def work(transaction: Transaction) -> str:
            transaction.execute(SQL["add"], row)
            return str(transaction.value(SQL["by_email"], (user.email,)))

        try:
            return _decode_accounts(await self._database.run(work))[0]
        except sqlite3.IntegrityError:
            raise Conflict("This email address is taken.", code="email_taken") from None

    async def save(self, account: Account) -> None:
        """See the port."""
        user = account.user
        row = (user.id, user.name, user.role, account.password_hash, account.version)

        def work(transaction: Transaction) -> tuple[int, int | None]:
            saved = transaction.execute(SQL["save"], row).rowcount
            return saved, transaction.value(SQL["version"], (user.id,))

        saved, version = await self._database.run(work)
        if not saved and version == account.version - 1:
            raise Conflict("There must be another admin first.", code="last_admin")
        if not saved:
            raise Stale("The account has changed in the meantime.")

    async def get(self, user_ids: Collection[UserId]) -> dict[UserId, Account]:
        """See the port."""
        if not user_ids:
            return {}
        ids = msgspec.json.encode(list(user_ids)).decode()
        found = _decode_accounts(await self._database.read(lambda tx: tx.value(SQL["get"], (ids,))))
        return {account.user.id: account for account in found}

    async def by_email(self, email: str) -> Account | None:
        """See the port."""
        found = _decode_accounts(await self._database.read(lambda tx: tx.value(SQL["by_email"], (email,))))
        return found[0] if found else None

    async def find(self, after: UserId | None, limit: int) -> Sequence[Account]:
        """See the port."""
        parameters = (after or 0, limit)
        return _decode_accounts(await self._database.read(lambda tx: tx.value(SQL["find"], parameters)))


class SqliteSessions:
    """`ports.users.SessionStore` on the table `sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, session: Session) -> None:
        """See the port."""
        row = (session.id, session.user_id, session.expires_at)
        await self._database.run(lambda tx: tx.execute(SQL["open_session"], row))

    async def get(self, session_id: str, now: Timestamp) -> Session | None:
        """See the port."""
        found = await self._database.read(lambda tx: tx.value(SQL["session"], (session_id, now)))
        return None if found is None else _decode_session(found)

    async def close(self, session_id: str) -> None:
        """See the port."""
        await self._database.run(lambda tx: tx.execute(SQL["close_session"], (session_id,)))

    async def close_others(self, user_id: UserId, keep: str) -> Sequence[str]:
        """See the port."""

        def work(transaction: Transaction) -> str:
            others = str(transaction.value(SQL["other_sessions"], (user_id, keep)))
            transaction.execute(SQL["close_others"], (user_id, keep))
            return others

        return _decode_ids(await self._database.run(work))

    async def purge(self, now: Timestamp) -> int:
        """See the port."""
        return await self._database.run(lambda tx: tx.execute(SQL["purge_sessions"], (now,)).rowcount)


class SqlitePreferences:
    """`ports.users.PreferenceStore` on the table `preferences`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preferences(self, user_ids: Collection[UserId]) -> dict[UserId, Preferences]:
        """See the port."""
        ids = msgspec.json.encode(list(user_ids)).decode()
        found = await self._database.read(lambda tx: tx.value(SQL["preferences"], (ids,)))
        return dict(_decode_preferences(found))

    async def prefer(self, user_id: UserId, preferences: Preferences) -> None:
        """See the port."""
        matrix = msgspec.json.encode(preferences).decode()
        await self._database.run(lambda tx: tx.execute(SQL["prefer"], (user_id, matrix)))

    async def prefer_over(self, user_id: UserId, stored: Preferences | None, preferences: Preferences) -> bool:
        """See the port."""
        matrix = msgspec.json.encode(preferences).decode()
        if stored is None:
            return await self._database.run(lambda tx: tx.execute(SQL["prefer_first"], (user_id, matrix)).rowcount) > 0
        row = (user_id, matrix, msgspec.json.encode(stored).decode())
        return await self._database.run(lambda tx: tx.execute(SQL["prefer_over"], row).rowcount) > 0

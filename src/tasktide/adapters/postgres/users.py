"""Accounts, sessions and preferences on PostgreSQL."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from asyncpg.exceptions import UniqueViolationError

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.domain.errors import Conflict, Stale
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Preferences
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Account, Role, Session, User

SQL = resources.statements(__package__, "users")

_decode_preferences = msgspec.json.Decoder(Preferences).decode


class PostgresUsers:
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
            str(user.role),
            user.created_at,
            account.password_hash,
            account.version,
        )
        try:
            async with self._database.transaction() as connection:
                await connection.execute(SQL["lock_accounts"])
                role = Role(await connection.value(SQL["add"], *row))
        except UniqueViolationError:
            raise Conflict("This email address is taken.", code="email_taken") from None
        return msgspec.structs.replace(account, user=msgspec.structs.replace(user, role=role))

    async def save(self, account: Account) -> None:
        """See the port."""
        user = account.user
        row = (user.id, user.name, str(user.role), account.password_hash, account.version)
        async with self._database.transaction() as connection:
            await connection.execute(SQL["lock_accounts"])
            saved = await connection.execute(SQL["save"], *row)
            version = await connection.value(SQL["version"], user.id)
        if not saved and version == account.version - 1:
            raise Conflict("There must be another admin first.", code="last_admin")
        if not saved:
            raise Stale("The account has changed in the meantime.")

    async def get(self, user_ids: Collection[UserId]) -> dict[UserId, Account]:
        """See the port."""
        if not user_ids:
            return {}
        found = [_account(row) for row in await self._database.fetch(SQL["get"], list(user_ids))]
        return {account.user.id: account for account in found}

    async def by_email(self, email: str) -> Account | None:
        """See the port."""
        if "\x00" in email:  # which no text here can hold
            return None
        found = await self._database.fetch(SQL["by_email"], email)
        return _account(found[0]) if found else None

    async def find(self, after: UserId | None, limit: int) -> Sequence[Account]:
        """See the port."""
        return [_account(row) for row in await self._database.fetch(SQL["find"], after or 0, limit)]


class PostgresSessions:
    """`ports.users.SessionStore` on the table `sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, session: Session) -> None:
        """See the port."""
        await self._database.execute(SQL["open_session"], session.id, session.user_id, session.expires_at)

    async def get(self, session_id: str, now: Timestamp) -> Session | None:
        """See the port."""
        found = await self._database.fetch(SQL["session"], session_id, now)
        return Session(id=found[0][0], user_id=UserId(found[0][1]), expires_at=found[0][2]) if found else None

    async def close(self, session_id: str) -> None:
        """See the port."""
        await self._database.execute(SQL["close_session"], session_id)

    async def close_others(self, user_id: UserId, keep: str) -> Sequence[str]:
        """See the port."""
        return [row[0] for row in await self._database.write(SQL["close_others"], user_id, keep)]

    async def purge(self, now: Timestamp) -> int:
        """See the port."""
        return await self._database.execute(SQL["purge_sessions"], now)


class PostgresPreferences:
    """`ports.users.PreferenceStore` on the table `preferences`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preferences(self, user_ids: Collection[UserId]) -> dict[UserId, Preferences]:
        """See the port."""
        found = await self._database.fetch(SQL["preferences"], list(user_ids))
        return {UserId(user_id): _decode_preferences(matrix) for user_id, matrix in found}

    async def prefer(self, user_id: UserId, preferences: Preferences) -> None:
        """See the port."""
        await self._database.execute(SQL["prefer"], user_id, msgspec.json.encode(preferences).decode())

    async def prefer_over(self, user_id: UserId, stored: Preferences | None, preferences: Preferences) -> bool:
        """See the port."""
        matrix = msgspec.json.encode(preferences).decode()
        if stored is None:
            return await self._database.execute(SQL["prefer_first"], user_id, matrix) > 0
        before = msgspec.json.encode(stored).decode()
        return await self._database.execute(SQL["prefer_over"], user_id, matrix, before) > 0


def _account(row: Any) -> Account:
    user_id, email, name, role, created_at, password_hash, version = row
    user = User(id=UserId(user_id), email=email, name=name, role=Role(role), created_at=created_at)
    return Account(user=user, password_hash=password_hash, version=version)

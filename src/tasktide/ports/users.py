"""The user store: accounts, sessions and preferences."""

from collections.abc import Collection, Sequence
from typing import Protocol

from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Preferences
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Account, Session


class UserStore(Protocol):
    """Accounts and what belongs to them. Durable when a method returns; Unavailable when the engine is away."""

    async def add(self, account: Account) -> Account:
        """Store a new account, made admin when it is the first. Conflict when the email is taken."""
        ...

    async def save(self, account: Account) -> None:
        """Replace an account whose stored version is one below this one's; Stale otherwise.

        Conflict when there would be no admin left.
        """
        ...

    async def get(self, user_ids: Collection[UserId]) -> dict[UserId, Account]:
        """The accounts of these ids; unknown ones are absent."""
        ...

    async def by_email(self, email: str) -> Account | None:
        """The account of a lower-case email."""
        ...

    async def find(self, after: UserId | None, limit: int) -> Sequence[Account]:
        """Accounts by ascending id, those after a given one."""
        ...


class SessionStore(Protocol):
    """Who is signed in. A deleted session is dead for every reader as soon as the call returns."""

    async def open(self, session: Session) -> None:
        """Remember a session until it expires."""
        ...

    async def get(self, session_id: str, now: Timestamp) -> Session | None:
        """The session, unless it is unknown, closed or expired."""
        ...

    async def close(self, session_id: str) -> None:
        """Forget one session; closing twice is fine."""
        ...

    async def close_others(self, user_id: UserId, keep: str) -> Sequence[str]:
        """Forget all sessions of a user but one; the ids that were closed."""
        ...

    async def purge(self, now: Timestamp) -> int:
        """Remove expired sessions; how many there were."""
        ...


class PreferenceStore(Protocol):
    """What each user wants to hear over which channel."""

    async def preferences(self, user_ids: Collection[UserId]) -> dict[UserId, Preferences]:
        """The stored matrices; users who never chose are absent."""
        ...

    async def prefer(self, user_id: UserId, preferences: Preferences) -> None:
        """Replace a user's matrix."""
        ...

    async def prefer_over(self, user_id: UserId, stored: Preferences | None, preferences: Preferences) -> bool:
        """Replace a user's matrix if what is stored is still that, None for nothing; whether it was."""
        ...

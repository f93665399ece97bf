"""Accounts, sign-in and the actor behind a token."""

import secrets
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from tasktide.domain import access, paging, users
from tasktide.domain.access import Action
from tasktide.domain.errors import Conflict, Forbidden, Invalid, NotFound, Stale, Unauthenticated, invalid
from tasktide.domain.ids import UserId
from tasktide.domain.paging import Cursor, Page
from tasktide.domain.times import later
from tasktide.domain.users import Account, Actor, Role, Session, User
from tasktide.ports.cache import Cache, SingleFlight, Snapshot, Tag
from tasktide.ports.clock import Clock
from tasktide.ports.ids import Ids
from tasktide.ports.push import Message, Push
from tasktide.ports.tokens import Passwords, Tokens
from tasktide.ports.users import SessionStore, UserStore

# Verified tokens remembered: checking one anew costs 25 microseconds and a look at the sessions, a known one 1.
VERIFIED = 20_000
LOOK_AGAIN_S = 30.0
LIST_TTL_S = 60.0
# Where it is said, for other gateways, that a session has ended (its id) or an account has changed (nothing).
ACCOUNTS = "accounts"
ATTEMPTS = 5

_encode = msgspec.json.Encoder().encode
_decode_page = msgspec.json.Decoder(Page[User]).decode


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in: the token, and whom it stands for."""

    access_token: str
    token: str
    token_type: str = "Bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int
    id: UserId
    email: str
    name: str
    role: Role


class _Verified(NamedTuple):
    """Whom a token stands for, and when that was looked at, on the monotonic clock."""

    actor: Actor
    at_s: float


class Users:
    """A token names a session; the session, not the token, decides whether it is still good."""

    def __init__(
        self,
        *,
        store: UserStore,
        sessions: SessionStore,
        tokens: Tokens,
        passwords: Passwords,
        cache: Cache,
        push: Push,
        ids: Ids,
        clock: Clock,
        token_lifetime_s: int,
        name_length: int,
        is_open: bool = True,
    ) -> None:
        self._is_open = is_open
        self._store = store
        self._sessions = sessions
        self._tokens = tokens
        self._passwords = passwords
        self._cache = cache
        self._listed = Tag(cache, "users")
        self._pages: SingleFlight[str, Page[User]] = SingleFlight()
        self._push = push
        self._ids = ids
        self._clock = clock
        self._lifetime_s = token_lifetime_s
        self._name_length = name_length
        self._verified: OrderedDict[str, _Verified] = OrderedDict()
        self._checking: set[UserId] = set()
        self._changes = 0  # sessions closed and roles changed so far

    async def reserve(self) -> int:
        """An id for a registration that may have to be repeated."""
        return (await self._ids.take("users"))[0]

    async def check_registration(self, actor: Actor | None) -> None:
        """Forbidden when accounts are made by admins alone, for all others but whoever comes first."""
        if self._is_open or (actor is not None and actor.role is Role.ADMIN) or not await self._store.find(None, 1):
            return
        raise Forbidden("Accounts are made by admins here: ask one.", code="registration_closed")

    async def register(self, email: str, name: str, password: str, *, user_id: int | None = None) -> User:
        """Make an account; Conflict when the email is taken, unless by this very registration, repeated."""
        email = users.check_registration(email, name, password, self._name_length)
        number = UserId(await self.reserve() if user_id is None else user_id)
        known = (await self._store.get([number])).get(number)
        if known is not None and known.user.email == email:
            return known.user
        user = User(id=number, email=email, name=name, role=Role.MEMBER, created_at=self._clock.now())
        account = await self._store.add(Account(user=user, password_hash=await self._passwords.hash(password)))
        await self._listed.invalidate()
        return account.user

    async def enrol(self, people: Sequence[tuple[str, str]], password: str) -> list[User]:
        """Accounts for (email, name) pairs, all with one password; those that exist stay as they are."""
        hashed = await self._passwords.hash(password)
        enrolled: list[User] = []
        for email, name in people:
            stored = users.check_registration(email, name, password, self._name_length)
            account = await self._store.by_email(stored)
            if account is None:
                number = UserId(await self.reserve())
                user = User(id=number, email=stored, name=name, role=Role.MEMBER, created_at=self._clock.now())
                try:
                    account = await self._store.add(Account(user=user, password_hash=hashed))
                except Conflict:  # somebody enrols the same people at this moment
                    account = await self._store.by_email(stored)
            if account is not None:
                enrolled.append(account.user)
        await self._listed.invalidate()
        return enrolled

    async def take_over(self, email: str, name: str, password: str, *, rename: bool = False) -> User:
        """The account of an address as an admin with a new password, made if need be: for those who have the machine.

        Its sessions are closed; a server that runs beside has them in mind for half a minute at most.
        """
        account = await self._store.by_email(users.check_registration(email, name, password, self._name_length))
        if account is None:
            account = await self.get((await self.register(email, name, password)).id)
        hashed = await self._passwords.hash(password)
        called = name if rename else None
        after = await self._save(account.user.id, None, name=called, role=Role.ADMIN, password_hash=hashed)
        await self._ended(await self._sessions.close_others(account.user.id, ""))
        return after.user

    async def login(self, email: str, password: str) -> Signed:
        """Open a session; Unauthenticated without telling whether the email or the password was wrong."""
        account = await self._store.by_email(email.strip().lower())
        if not await self._passwords.verify(password, account.password_hash if account else None) or account is None:
            raise Unauthenticated("The email address or the password is wrong.", code="bad_credentials")
        signed, session = await self._sign(account.user)
        current = (await self._store.get([account.user.id])).get(account.user.id)
        if current is None or current.password_hash != account.password_hash:
            # The password was changed while this one was being checked: its sessions were ended a moment ago.
            await self._sessions.close(session.id)
            raise Unauthenticated("The email address or the password is wrong.", code="bad_credentials")
        return signed

    async def sign_for(self, email: str) -> Signed:
        """Open a session without a password, for an operator at the machine; NotFound when nobody has the email."""
        account = await self._store.by_email(email.strip().lower())
        if account is None:
            raise NotFound(f"There is no user with the address {email}.")
        return (await self._sign(account.user))[0]

    def recalled(self, token: str) -> Actor | None:
        """Who is behind a token that was verified before and still holds."""
        known = self._verified.get(token)
        if known is None or known.actor.expires_at <= self._clock.now():
            return None
        # Other processes say when a session ends; should the word be lost, it is looked at anew after a while.
        return known.actor if self._clock.monotonic() - known.at_s < LOOK_AGAIN_S else None

    async def authenticate(self, token: str) -> Actor:
        """Who is behind a token; Unauthenticated when it is bad, expired or its session was closed."""
        known = self.recalled(token)
        if known is not None:
            return known
        now = self._clock.now()
        changes = self._changes
        named = self._tokens.read(token)
        session = await self._sessions.get(named.id, now)
        account = (await self._store.get([named.user_id])).get(named.user_id) if session else None
        if session is None or account is None or session.user_id != named.user_id:
            raise Unauthenticated("The session has ended.", code="session_ended")
        actor = Actor(account.user.id, account.user.role, session.id, session.expires_at)
        if changes == self._changes:  # else it may have been closed while we looked
            self._verified[token] = _Verified(actor, self._clock.monotonic())
        if len(self._verified) > VERIFIED:
            self._verified.popitem(last=False)
        return actor

    def forget(self, session_id: str) -> None:
        """Look anew at who is behind the tokens of a session, or of all when it is empty: somebody has changed that."""
        self._changes += 1
        if not session_id:
            self._verified.clear()
            return
        for token in [token for token, known in self._verified.items() if known.actor.session_id == session_id]:
            del self._verified[token]

    async def logout(self, actor: Actor) -> None:
        """Close the actor's session: its token is dead, its live streams end."""
        self._changes += 1
        await self._sessions.close(actor.session_id)
        await self._ended([actor.session_id])

    async def me(self, actor: Actor) -> Account:
        """The actor's own account."""
        return await self.get(actor.user_id)

    async def get(self, user_id: UserId) -> Account:
        """Somebody's account; show its `user` and nothing else."""
        account = (await self._store.get([user_id])).get(user_id)
        if account is None:
            raise NotFound(f"There is no user {user_id}.")
        return account

    async def get_many(self, user_ids: Collection[UserId]) -> dict[UserId, User]:
        """Those of the users that there are, asked for at once."""
        return {user_id: account.user for user_id, account in (await self._store.get(user_ids)).items()}

    async def find(self, cursor: str | None, limit: int) -> Page[User]:
        """A page of users by id, from a cache that a change by any gateway empties at once."""
        last = paging.decode(cursor, "users")
        after = UserId(last.id) if last else None
        mark = await self._listed.mark()
        key = f"users:v{mark}:{after}:{limit}"
        cached = (await self._cache.get([key])).get(key) if mark else None
        if cached:
            return _decode_page(cached)
        return await self._pages.once(key, lambda: self._page(key if mark else None, after, limit))

    async def _page(self, key: str | None, after: UserId | None, limit: int) -> Page[User]:
        found = [account.user for account in await self._store.find(after, limit + 1)]
        more = paging.encode(Cursor("users", "", found[limit - 1].id)) if len(found) > limit else None
        page = Page(found[:limit], more)
        if key is not None:
            await self._cache.put([Snapshot(key, 1, _encode(page), LIST_TTL_S)])
        return page

    async def change_me(
        self,
        actor: Actor,
        *,
        name: str | None,
        password: str | None,
        current_password: str | None,
        versions: Collection[int] | None = None,
    ) -> Account:
        """Change the actor's name or password; a new password ends all their other sessions."""
        errors = [
            *([] if name is None else users.check_name(name, self._name_length)),
            *([] if password is None else users.check_password("password", password)),
        ]
        if errors:
            raise Invalid(errors)
        if password is None:
            return await self._save(actor.user_id, versions, name=name)
        if actor.user_id in self._checking:
            raise Conflict("Another change of your password is being looked at.", code="password_changing")
        self._checking.add(actor.user_id)  # one user must not keep the rest from signing in
        try:
            account = await self.get(actor.user_id)
            if not await self._passwords.verify(current_password or "", account.password_hash):
                raise invalid("current_password", "is wrong" if current_password else "is required for a new password")
            hashed = await self._passwords.hash(password)
        finally:
            self._checking.discard(actor.user_id)
        after = await self._save(actor.user_id, versions, name=name, password_hash=hashed, over=account.password_hash)
        await self._ended(await self._sessions.close_others(actor.user_id, actor.session_id))
        return after

    async def change_role(
        self, actor: Actor, user_id: UserId, role: Role, *, versions: Collection[int] | None = None
    ) -> Account:
        """Make somebody an admin or a member; Conflict for the last admin."""
        access.check(actor, Action.USER_ROLE)
        after = await self._save(user_id, versions, role=role)
        self._changes += 1
        self._verified.clear()
        return after

    async def _save(
        self,
        user_id: UserId,
        versions: Collection[int] | None,
        *,
        name: str | None = None,
        role: Role | None = None,
        password_hash: str | None = None,
        over: str | None = None,
    ) -> Account:
        """The account after it; `over` is the password, hashed, that the new one replaces and no other."""
        for _ in range(ATTEMPTS):
            account = await self.get(user_id)
            if over is not None and account.password_hash != over:
                raise Stale("Your password has changed in the meantime.")
            if versions is not None and account.version not in versions:
                raise Stale(f"The user is at version {account.version} by now.")
            user = account.user
            user = msgspec.structs.replace(user, name=name or user.name, role=role or user.role)
            if user == account.user and password_hash is None:
                return account
            after = Account(
                user=user, password_hash=password_hash or account.password_hash, version=account.version + 1
            )
            try:
                await self._store.save(after)
            except Stale:
                continue
            await self._listed.invalidate()
            await self._push.publish([Message(ACCOUNTS, b"")])
            return after
        raise Stale("The account keeps changing under this request; try again.")

    async def _sign(self, user: User) -> tuple[Signed, Session]:
        expires_at = later(self._clock.now(), self._lifetime_s)
        session = Session(id=secrets.token_urlsafe(16), user_id=user.id, expires_at=expires_at)
        await self._sessions.open(session)
        token = self._tokens.issue(session)
        signed = Signed(
            access_token=token,
            token=token,
            expires_in=self._lifetime_s,
            id=user.id,
            email=user.email,
            name=user.name,
            role=user.role,
        )
        return signed, session

    async def _ended(self, session_ids: Sequence[str]) -> None:
        self._changes += 1
        for session_id in session_ids:
            self.forget(session_id)
        told = [(f"session:{session_id}", b"") for session_id in session_ids]
        told += [(ACCOUNTS, session_id.encode()) for session_id in session_ids]
        await self._push.publish([Message(channel, body) for channel, body in told])

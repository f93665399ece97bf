"""What every user store promises."""

import asyncio

import msgspec
import pytest

from support import make
from support.engines import Engine
from tasktide.domain.errors import Conflict, Stale
from tasktide.domain.notifications import Channel, Kind, default_preferences
from tasktide.domain.times import later
from tasktide.domain.users import Role, Session


async def test_the_first_account_is_admin_and_later_ones_are_not(engine: Engine) -> None:
    first = await engine.users.add(make.account(1))
    second = await engine.users.add(make.account(2))
    assert (first.user.role, second.user.role) == (Role.ADMIN, Role.MEMBER)
    assert await engine.users.get([first.user.id]) == {first.user.id: first}


async def test_of_many_first_accounts_at_once_one_is_admin(engine: Engine) -> None:
    made = await asyncio.gather(*(engine.users.add(make.account(n)) for n in range(1, 9)))
    assert sum(account.user.role is Role.ADMIN for account in made) == 1


async def test_an_email_is_taken_once(engine: Engine) -> None:
    await engine.users.add(make.account(1))
    with pytest.raises(Conflict):
        await engine.users.add(make.account(2, email="user1@example.org"))
    assert await engine.users.by_email("user1@example.org") is not None
    assert await engine.users.by_email("user2@example.org") is None


async def test_saving_needs_the_version_before(engine: Engine) -> None:
    account = await engine.users.add(make.account(1))
    newer = msgspec.structs.replace(account, password_hash="new", version=2)
    await engine.users.save(newer)
    with pytest.raises(Stale):
        await engine.users.save(newer)
    assert (await engine.users.get([account.user.id]))[account.user.id] == newer


async def test_of_two_admins_who_demote_each_other_one_stays(engine: Engine) -> None:
    accounts = [await engine.users.add(make.account(number)) for number in (1, 2)]
    second = msgspec.structs.replace(accounts[1].user, role=Role.ADMIN)
    await engine.users.save(msgspec.structs.replace(accounts[1], user=second, version=2))
    current = [accounts[0], (await engine.users.get([second.id]))[second.id]]
    demoted = [
        msgspec.structs.replace(one, user=msgspec.structs.replace(one.user, role=Role.MEMBER), version=one.version + 1)
        for one in current
    ]
    results = await asyncio.gather(*(engine.users.save(one) for one in demoted), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), Conflict]


async def test_accounts_are_paged_by_id(engine: Engine) -> None:
    for number in (3, 1, 2):
        await engine.users.add(make.account(number))
    first = await engine.users.find(None, 2)
    assert [account.user.id for account in first] == [1, 2]
    assert [account.user.id for account in await engine.users.find(first[-1].user.id, 2)] == [3]


async def test_a_session_lives_until_it_is_closed_or_expires(engine: Engine) -> None:
    now = engine.clock.now()
    session = Session(id="a", user_id=make.BOB.user_id, expires_at=later(now, 10))
    await engine.sessions.open(session)
    assert await engine.sessions.get("a", now) == session
    assert await engine.sessions.get("a", later(now, 10)) is None
    assert await engine.sessions.get("b", now) is None
    await engine.sessions.close("a")
    await engine.sessions.close("a")
    assert await engine.sessions.get("a", now) is None


async def test_closing_the_other_sessions_keeps_one(engine: Engine) -> None:
    now = engine.clock.now()
    for name, user in (("a", 1), ("b", 1), ("c", 1), ("d", 2)):
        await engine.sessions.open(Session(id=name, user_id=make.account(user).user.id, expires_at=later(now, 10)))
    assert sorted(await engine.sessions.close_others(make.ADMIN.user_id, "b")) == ["a", "c"]
    assert [name for name in "abcd" if await engine.sessions.get(name, now)] == ["b", "d"]
    assert await engine.sessions.purge(later(now, 11)) == 2


async def test_preferences_are_kept_whole(engine: Engine) -> None:
    chosen = default_preferences()
    chosen[Channel.EMAIL][Kind.ASSIGNED] = True
    assert await engine.preferences.preferences([make.BOB.user_id]) == {}
    await engine.preferences.prefer(make.BOB.user_id, chosen)
    await engine.preferences.prefer(make.BOB.user_id, chosen)
    assert await engine.preferences.preferences([make.BOB.user_id, make.ADMIN.user_id]) == {make.BOB.user_id: chosen}


async def test_preferences_are_replaced_only_over_those_that_were_read(engine: Engine) -> None:
    store, bob = engine.preferences, make.BOB.user_id
    first, second = default_preferences(), default_preferences()
    first[Channel.EMAIL][Kind.ASSIGNED] = True
    second[Channel.EMAIL][Kind.DUE] = True
    assert not await store.prefer_over(bob, first, second), "there is nothing yet"
    assert await store.prefer_over(bob, None, first)
    assert not await store.prefer_over(bob, None, second), "there is something by now"
    assert not await store.prefer_over(bob, second, second)
    assert await store.prefer_over(bob, first, second)
    assert await store.preferences([bob]) == {bob: second}

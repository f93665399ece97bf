"""More than the pipelines can take is refused, and taken again once there is room."""

import asyncio

import pytest

from support import make
from support.engines import Engine
from support.pipelines import BACKLOG_LIMIT, CASES, notifications
from tasktide.domain.errors import Unavailable
from tasktide.ports.log import Backpressure
from tasktide.usecases.notifications import DirectMessage

[INBOX] = [case for case in CASES if case.name == "inbox"]


async def test_notifications_beyond_the_backlog_are_refused_until_it_is_stored(engine: Engine) -> None:
    await engine.users.add(make.account(1))
    desk = notifications(engine)
    hello = DirectMessage(user_ids=[1], message="hello")
    accepted = await desk.send_many(make.ADMIN, [hello] * (BACKLOG_LIMIT + 1))
    with pytest.raises(Unavailable):
        await desk.send(make.ADMIN, hello)
    with pytest.raises(Unavailable):
        await desk.send_many(make.ADMIN, [hello])
    pipeline = INBOX.build(engine)
    running = pipeline.start()
    assert await engine.log.settled(INBOX.topic, INBOX.name, 20)
    assert await desk.send(make.ADMIN, hello) == 1
    assert await engine.log.settled(INBOX.topic, INBOX.name, 20)
    await pipeline.stop()
    await running
    page = await desk.newest(make.ADMIN, unread=True, cursor=None, limit=1)
    assert page.unread_count == accepted + 1


class Counted:
    """A log of which only the backlog is asked: it is as given, and goes down by so much at each look."""

    def __init__(self, behind: int, falls: int) -> None:
        self.behind = behind
        self.falls = falls
        self.looks = 0

    async def backlog(self, topic: str, group: str) -> int:
        assert (topic, group) == ("topic", "group")
        self.looks += 1
        self.behind -= self.falls
        return self.behind


async def test_who_submits_is_held_back_while_the_group_is_behind_and_let_go_together() -> None:
    log = Counted(behind=150, falls=5)
    room = Backpressure(log, "topic", "group", 1_000)  # type: ignore[arg-type]
    await asyncio.wait_for(asyncio.gather(*(room.wait() for _ in range(5))), 5)
    assert log.behind <= 100 - 5
    assert log.looks <= 5 + 10 + 5, "one watch for all of them"


async def test_nobody_waits_for_a_group_that_stands_still_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktide.ports.log.LOOK_S", 0.001)
    log = Counted(behind=500, falls=0)
    room = Backpressure(log, "topic", "group", 1_000)  # type: ignore[arg-type]
    await room.wait()
    looks = log.looks
    await room.wait()
    assert log.looks == looks + 1
    log.behind = 1_001
    with pytest.raises(Unavailable):
        await room.wait()
    log.behind, log.falls = 900, 100  # it moves again
    await room.wait()
    assert log.behind <= 100

"""More than the pipelines can take is refused, and taken again once there is room."""

import pytest

from support import make
from support.engines import Engine
from support.pipelines import BACKLOG_LIMIT, CASES, notifications
from tasktide.domain.errors import Unavailable
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

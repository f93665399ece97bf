"""Live streams: nothing twice, nothing left out, whatever is lost on the way."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import live_law, make
from support.engines import Engine, open_engine
from tasktide.adapters.memory.push import MemoryPush
from tasktide.domain import events, tasks
from tasktide.domain.errors import Invalid, Unauthenticated, Unavailable
from tasktide.domain.events import TaskEvent
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.tasks import Status
from tasktide.domain.times import later
from tasktide.domain.users import Actor, Session
from tasktide.ports.push import Message
from tasktide.ports.stopping import Stopping
from tasktide.usecases.live import Feed, Live, LiveStream


async def opened(engine: Engine, push: MemoryPush, after: int | None = None) -> tuple[Live, LiveStream, Actor]:
    expires = later(engine.clock.now(), 3_600)
    await engine.sessions.open(Session(id="s", user_id=make.ADMIN.user_id, expires_at=expires))
    actor = msgspec.structs.replace(make.ADMIN, session_id="s", expires_at=expires)
    live = live_of(engine, push, Stopping(push))
    return live, await live.open(actor, None if after is None else NotificationId(after)), actor


def live_of(engine: Engine, push: MemoryPush, stopping: Stopping) -> Live:
    return Live(store=engine.notifications, sessions=engine.sessions, push=push, clock=engine.clock, stopping=stopping)


async def tell(engine: Engine, push: MemoryPush, number: int, *, heard: bool = True) -> None:
    stored = await engine.notifications.insert([make.told(number)])
    if heard:
        await push.publish([Message("user:1", msgspec.json.encode(one), one.id) for one in stored])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.integers(0, 5),
    after=st.integers(0, 5),
    reads=st.lists(st.integers(0, 7), min_size=1, max_size=8),
    buffer=st.integers(1, 5),
    repeat=st.booleans(),
)
async def test_a_stream_is_the_inbox_behind_its_cursor(
    tmp_path: object, before: int, after: int, reads: list[int], buffer: int, repeat: bool
) -> None:
    async with open_engine("sqlite-memory", tmp_path) as engine:  # type: ignore[arg-type]
        push = MemoryPush(buffer=buffer)
        number = 0
        for _ in range(before):
            number += 1
            await tell(engine, push, number)
        start = min(after, before)
        _, stream, _ = await opened(engine, push, start)
        seen: list[int] = []
        for count in reads:
            for _ in range(count):
                number += 1
                await tell(engine, push, number)
                if repeat:
                    await tell(engine, push, number)
            while len(seen) < number - start:
                async with asyncio.timeout(5):
                    seen += [item.cursor for item in await stream.read()]
        inbox = await engine.notifications.after(make.ADMIN.user_id, NotificationId(start), 1_000)
        assert seen == [one.id for one in inbox]
        stream.close()


async def test_a_stream_without_a_cursor_begins_now(engine: Engine) -> None:
    push = MemoryPush()
    await tell(engine, push, 1)
    _, stream, _ = await opened(engine, push)
    assert stream.cursor == 1
    await tell(engine, push, 2)
    assert [item.cursor for item in await stream.read()] == [2]


async def test_a_closed_session_ends_its_stream_even_if_the_word_is_lost(engine: Engine) -> None:
    push = MemoryPush(buffer=1)
    live, stream, actor = await opened(engine, push)
    await engine.sessions.close("s")
    await push.publish([Message("session:s", b"")])
    for number in (1, 2, 3):
        await tell(engine, push, number)
    with pytest.raises(Unauthenticated):
        await stream.read()
    with pytest.raises(Unauthenticated):
        await live.open(actor, None)
    assert await push.listening(["user:1"]) == {"user:1"}
    stream.close()
    assert await push.listening(["user:1"]) == frozenset()


async def test_a_stream_ends_with_its_token(engine: Engine) -> None:
    _, stream, _ = await opened(engine, MemoryPush())
    engine.clock.advance(3_600)
    with pytest.raises(Unauthenticated):
        await stream.read()


async def test_streams_end_with_their_process_whether_they_hear_of_it_or_not(engine: Engine) -> None:
    push = MemoryPush(buffer=1)
    _, _, actor = await opened(engine, push)
    stopping = Stopping(push)
    live = live_of(engine, push, stopping)
    deaf = await live.open(actor, None)
    await tell(engine, push, 1)
    await tell(engine, push, 2)
    waiting = await live.open(actor, None)
    reading = asyncio.create_task(waiting.read())
    await asyncio.sleep(0)
    await stopping.announce()
    late = await live.open(actor, None)
    for stream in (waiting, deaf, late):
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await (reading if stream is waiting else stream.read())
    with pytest.raises(Invalid):
        await live.open(actor, NotificationId(10**9))


async def test_all_tasks_are_watched_and_a_gap_is_told(engine: Engine) -> None:
    push = MemoryPush(buffer=3)
    feed = Feed(push=push)
    live, notices, actor = await opened(engine, push)
    told = [make.created(make.task(number)) for number in range(1, 6)]
    await feed.announce(told)  # nobody watches
    stream = await live.watch_all(actor)
    await feed.announce(told[:2])
    heard = await stream.read()
    assert heard is not None
    assert [(event.data.task.id, event.type) for event in heard] == [(1, "task.created"), (2, "task.created")]
    await feed.announce(told)
    assert await stream.read() is None, "five are more than its buffer holds"
    await feed.announce(told[:1])
    assert len(await stream.read() or ()) == 1
    stream.close()
    notices.close()
    assert await push.listening(["tasks", "session:s"]) == frozenset()


async def test_those_who_look_at_a_task_are_seen_until_they_leave_or_fall_silent(engine: Engine) -> None:
    push = MemoryPush()
    live, notices, ann = await opened(engine, push)
    bob = msgspec.structs.replace(ann, user_id=UserId(2))
    hers, his = await live.look(ann, TaskId(1)), await live.look(bob, TaskId(1))
    async with asyncio.timeout(5):
        assert await hers.read() == [2]
        assert await his.read() == [1]
        await his.close()
        assert await hers.read() == []
        his = await live.look(bob, TaskId(1))
        assert await hers.read() == [2]
        engine.clock.advance(60)
        await hers.say("hello")  # of herself she hears nothing
        assert await hers.read() == []
    await hers.close()
    await his.close()
    notices.close()


def test_the_law_that_other_languages_are_held_to_is_this_one() -> None:
    kept = Path(__file__).parents[2] / "web" / "src" / "live-law.json"
    assert kept.read_text() == live_law.text(), "run `make docs`"


def test_before_an_event_a_task_was_what_it_was() -> None:
    task = make.task(1, performer_id=UserId(1), labels=("a",), observer_ids=(UserId(2),))
    changes: dict[str, object] = {
        "performer_id": None,
        "labels": (),
        "status": Status.DONE,
        "observer_ids": (),
        "title": "new",
    }
    event = events.changed(task, tasks.edit(task, changes, make.NOW), "user:1")
    for known in (event, msgspec.json.decode(events.encode(event), type=TaskEvent)):
        was = events.before(known)
        for field in changes:
            assert getattr(was, field) == getattr(task, field), field

"""What happens because time passes, on a clock that the test moves."""

import asyncio
from random import Random
from unittest.mock import AsyncMock

import pytest

from support import make
from support.engines import Engine
from support.pipelines import delivery_desk
from tasktide.domain import events
from tasktide.domain.deliveries import Delivery, Mail, Refused
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.notifications import Channel
from tasktide.domain.tasks import Status
from tasktide.domain.times import later
from tasktide.ports.cache import task_key
from tasktide.ports.tasks import Change, Entry
from tasktide.usecases.ingest import Ingest
from tasktide.usecases.schedule import SAID_WITHIN_S, TOMBSTONES_KEPT_S, Schedule

LEASE_S = 30.0


def schedule(engine: Engine) -> Schedule:
    return Schedule(
        store=engine.tasks,
        log=engine.log,
        jobs=engine.jobs,
        replies=engine.replies,
        sessions=engine.sessions,
        clock=engine.clock,
        random=Random(1),
        log_retention_s=100,
        cache=engine.cache,
        push=engine.push,
        job_lease_s=LEASE_S,
    )


async def logged(engine: Engine, topic: str) -> list[str]:
    await engine.settle()
    return [events.decode(topic, one.value).id for one in await engine.log.reader(topic, "test").read(1_000, 0)]


async def test_a_job_is_announced_when_its_time_has_come_and_once(engine: Engine) -> None:
    now = engine.clock.now()
    ingest = Ingest(store=engine.tasks, clock=engine.clock)
    jobs = [make.task(1, handler="x"), make.task(2, handler="x", run_at=later(now, 60))]
    await ingest.receive([make.submission(job) for job in jobs])
    assert await logged(engine, events.TASK_INPUT) == ["1.run.1"]
    assert await schedule(engine).ring() == 0
    engine.clock.advance(59)
    assert await schedule(engine).ring() == 0
    engine.clock.advance(1)
    assert await schedule(engine).ring() == 1
    assert await schedule(engine).ring() == 0
    assert await logged(engine, events.TASK_INPUT) == ["1.run.1", "2.run.1"]


async def test_a_clock_set_back_does_not_hold_up_what_is_due_at_once(engine: Engine) -> None:
    job = make.task(1, handler="x", status=Status.PENDING, attempts=0)
    engine.clock.jump(-3_600)
    await Ingest(store=engine.tasks, clock=engine.clock).receive([make.submission(job)])
    assert await logged(engine, events.TASK_INPUT) == ["1.run.1"]


async def test_a_clock_set_forward_rings_what_is_passed_over_once(engine: Engine) -> None:
    job = make.task(1, handler="x", run_at=later(engine.clock.now(), 600))
    await Ingest(store=engine.tasks, clock=engine.clock).receive([make.submission(job)])
    engine.clock.jump(3_600)
    assert await schedule(engine).ring() == 1
    engine.clock.jump(-3_600)
    assert await schedule(engine).ring() == 0


async def running_job(engine: Engine) -> None:
    """One whose worker has said for 30 s that it lives."""
    job = make.task(1, handler="x", status=Status.IN_PROGRESS, attempts=1, started_at=engine.clock.now())
    until = later(engine.clock.now(), LEASE_S)
    entry = make.entry(job)
    await engine.tasks.insert([Entry(job, entry.event, (), until, None)])


async def status(engine: Engine) -> Status:
    return (await engine.tasks.get([TaskId(1)]))[TaskId(1)].status


async def test_a_job_whose_worker_says_no_more_goes_to_another_and_readers_see_it(engine: Engine) -> None:
    await running_job(engine)
    ringing = schedule(engine)
    await ringing.ring()
    engine.clock.advance(LEASE_S - 1)
    assert await ringing.ring() == 0
    engine.clock.advance(2)
    waits = await engine.push.subscribe([task_key(TaskId(1))])
    assert await ringing.ring() == 1
    assert await status(engine) is Status.PENDING
    async with asyncio.timeout(5):
        assert await waits.read()
    waits.close()
    cached = (await engine.cache.get([task_key(TaskId(1))]))[task_key(TaskId(1))]
    assert b"pending" in cached


@pytest.mark.parametrize("what", ["a store that was away", "a start", "a clock that was set"])
async def test_a_worker_that_could_not_say_that_it_lives_gets_the_time_to(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await running_job(engine)
    ringing = schedule(engine)
    if what == "a store that was away":
        await ringing.ring()
        engine.clock.advance(LEASE_S + 1)
        with monkeypatch.context() as away:
            away.setattr(engine.tasks, "alarms", AsyncMock(side_effect=Unavailable("store", "It is away.")))
            with pytest.raises(Unavailable):
                await ringing.ring()
    elif what == "a start":
        engine.clock.advance(LEASE_S + 1)
    else:
        await ringing.ring()
        engine.clock.advance(LEASE_S / 2)
        await ringing.ring()
        engine.clock.jump(3_600)
    assert await ringing.ring() == 1
    assert await status(engine) is Status.IN_PROGRESS
    grace_s = LEASE_S / 3 + SAID_WITHIN_S
    engine.clock.advance(grace_s - 1)
    assert await ringing.ring() == 0
    engine.clock.advance(2)
    assert await ringing.ring() == 1, "and no more than that"
    assert await status(engine) is Status.PENDING


async def test_everyone_concerned_is_reminded_of_a_due_task_once(engine: Engine) -> None:
    due = later(engine.clock.now(), 60)
    open_task = make.task(1, performer_id=UserId(2), observer_ids=(UserId(3),), due_at=due)
    finished = make.task(2, due_at=due, status=Status.DONE)
    await Ingest(store=engine.tasks, clock=engine.clock).receive(
        [make.submission(one) for one in (open_task, finished)]
    )
    engine.clock.advance(61)
    await schedule(engine).ring()
    await schedule(engine).ring()
    told = [event_id for event_id in await logged(engine, events.NOTIFICATION_EVENTS) if ".due." in event_id]
    assert sorted(told) == [f"1.due.{due}@{user}" for user in (1, 2, 3)]


async def test_sweeping_forgets_what_is_over(engine: Engine) -> None:
    now = engine.clock.now()
    await engine.replies.claim("k", b"d", 1, later(now, 10))
    await Ingest(store=engine.tasks, clock=engine.clock).receive([make.submission(make.task(1))])
    await engine.settle()
    feed = engine.log.reader(events.TASK_EVENTS, "feed")
    await feed.commit((await feed.read(10, 0))[-1].position)
    engine.clock.advance(101)
    await schedule(engine).sweep()
    assert await engine.replies.claim("k", b"other", 2, later(now, 500)) is None
    assert await engine.log.reader(events.TASK_EVENTS, "late").read(10, 0) == []


async def test_a_deletion_is_remembered_longer_than_the_log_could_bring_the_task_back(engine: Engine) -> None:
    ingest = Ingest(store=engine.tasks, clock=engine.clock)
    submission = make.submission(make.task(1))
    await ingest.receive([submission])
    task = make.task(1)
    gone = Change(task_id=task.id, expected_version=1, after=None, event=events.deleted(task, "user:1", make.NOW))
    assert await engine.tasks.commit([gone]) == {task.id}
    engine.clock.advance(TOMBSTONES_KEPT_S + 99)
    await schedule(engine).sweep()
    await ingest.receive([submission])
    assert await engine.tasks.get([task.id]) == {}
    engine.clock.advance(2)
    await schedule(engine).sweep()
    assert await engine.tasks.purge(later(engine.clock.now(), 1)) == 0, "nothing is left to forget"


async def test_a_clock_that_is_ahead_for_a_moment_makes_nothing_forgotten(engine: Engine) -> None:
    made = schedule(engine)
    await made.ring()
    await engine.replies.claim("k", b"d", 5, later(engine.clock.now(), 86_400))
    engine.clock.jump(3 * 86_400)
    await made.ring()
    await made.sweep()
    engine.clock.advance(60)
    await made.ring()
    await made.sweep()
    engine.clock.jump(-3 * 86_400)
    await made.ring()
    await made.sweep()
    claim = await engine.replies.claim("k", b"d", 9, later(engine.clock.now(), 86_400))
    assert claim is not None
    assert claim.first_id == 5
    engine.clock.advance(86_400)
    await made.ring()
    await made.sweep()
    assert await engine.replies.claim("k", b"d", 9, later(engine.clock.now(), 60)) is None


class Post:
    """A mailer that refuses so many times, for good or not."""

    def __init__(self, refusals: int, refusal: Exception | None = None) -> None:
        self.refusals = refusals
        self.refusal = refusal or Unavailable("smtp", "try again")
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        if self.refusals:
            self.refusals -= 1
            raise self.refusal
        self.sent.append(mail)


async def test_a_delivery_is_tried_later_each_time_and_is_the_same_mail(engine: Engine) -> None:
    await engine.users.add(make.account(1))
    post = Post(refusals=2)
    desk = delivery_desk(engine, post)
    await engine.jobs.put([Delivery(channel=Channel.EMAIL, notification=make.notification(7))])
    for wait_s in (1.1, 5.5):
        assert await desk.deliver() == (1, 0)
        assert await desk.deliver() == (0, 0)
        engine.clock.advance(wait_s)
    assert await desk.deliver() == (1, 0)
    assert [(mail.to, mail.message_id) for mail in post.sent] == [("user1@example.org", "<notification-7@tasktide>")]
    engine.clock.advance(10_000)
    assert await desk.deliver() == (0, 0)


async def test_a_delivery_that_nobody_takes_is_a_dead_letter_after_its_last_try_and_can_be_replayed(
    engine: Engine,
) -> None:
    await engine.users.add(make.account(1))
    post = Post(refusals=6)
    desk = delivery_desk(engine, post)
    await engine.jobs.put([Delivery(channel=Channel.EMAIL, notification=make.notification(7))])
    outcomes = []
    for _ in range(7):
        outcomes.append(await desk.deliver())
        engine.clock.advance(700)
    assert outcomes == [(1, 0)] * 5 + [(1, 1), (0, 0)]
    assert await engine.waiting() == 0
    [letter] = await engine.letters.find(0, 10)
    assert (letter.reason, letter.attempts) == ("Unavailable: try again", 6)
    assert await engine.letters.replay(letter.id)
    [record] = await engine.log.reader(events.DELIVERIES, "redeliver").read(10, 0)
    replayed = [events.decode(events.DELIVERIES, record.value)]
    await desk.revive(replayed)
    await desk.revive(replayed)
    assert await desk.deliver() == (1, 0)
    await desk.revive(replayed)
    assert await desk.deliver() == (0, 0), "what went out is not sent again"
    assert [mail.message_id for mail in post.sent] == ["<notification-7@tasktide>"]


async def test_one_bad_delivery_does_not_stop_its_neighbours(engine: Engine) -> None:
    await engine.users.add(make.account(1))
    post = Post(refusals=0)
    desk = delivery_desk(engine, post)
    told = [make.notification(1, user_id=99), make.notification(2)]
    await engine.jobs.put([Delivery(channel=Channel.EMAIL, notification=one) for one in told])
    assert await desk.deliver() == (2, 1), "nobody can be reached without an address"
    assert [mail.message_id for mail in post.sent] == ["<notification-2@tasktide>"]


async def test_what_is_refused_for_good_is_a_dead_letter_at_once(engine: Engine) -> None:
    await engine.users.add(make.account(1))
    desk = delivery_desk(engine, Post(refusals=1, refusal=Refused("550 no such user")))
    await engine.jobs.put([Delivery(channel=Channel.EMAIL, notification=make.notification(7))])
    assert await desk.deliver() == (1, 1)
    [letter] = await engine.letters.find(0, 10)
    assert (letter.reason, letter.attempts) == ("Refused: 550 no such user", 1)

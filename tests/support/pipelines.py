"""Every pipeline that reads a topic, as a case for the laws: how to feed it, and what it has done."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from support import make
from support.engines import Engine
from tasktide.adapters.console.mail import ConsoleMailer
from tasktide.adapters.http.late import LateCaller
from tasktide.adapters.prometheus.metrics import PrometheusMetrics
from tasktide.adapters.system.threads import DaemonThreads
from tasktide.domain import events
from tasktide.domain.deliveries import Delivery
from tasktide.domain.events import Planned
from tasktide.domain.handlers import Context, Handler, handler
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel, Kind
from tasktide.domain.paging import TaskQuery
from tasktide.domain.tasks import Status
from tasktide.pipelines.consumer import Consumer
from tasktide.pipelines.loop import Handle, Pipeline
from tasktide.pipelines.process import Worker
from tasktide.ports.log import Record, Stored
from tasktide.ports.mail import Mailer
from tasktide.ports.push import Push, Subscription
from tasktide.ports.webhooks import Caller
from tasktide.usecases.delivery import DeliveryDesk
from tasktide.usecases.inbox import Inbox
from tasktide.usecases.ingest import Ingest
from tasktide.usecases.live import TASKS, Feed
from tasktide.usecases.notifications import Notifications
from tasktide.usecases.processing import Processing

# Records behind which the inbox may be.
BACKLOG_LIMIT = 100
READ_ON_S = 0.005


@dataclass(frozen=True, kw_only=True)
class Case:
    """`feed` makes the record of number n; `done` tells for which numbers the effect is there, once each."""

    name: str
    topic: str
    build: Callable[[Engine], Consumer]
    feed: Callable[[Engine, int], Awaitable[Record]]
    done: Callable[[Engine], Awaitable[list[int]]]


def loop(engine: Engine, name: str, topic: str, handle: Handle, batch: int = 4, rest_s: float = 0.0) -> Pipeline:
    return Pipeline(
        name=name,
        topic=topic,
        handle=handle,
        log=engine.log,
        letters=engine.letters,
        clock=engine.clock,
        metrics=PrometheusMetrics(),
        batch=batch,
        rest_s=rest_s,
    )


def notifications(engine: Engine) -> Notifications:
    return Notifications(
        store=engine.notifications,
        users=engine.users,
        preferences=engine.preferences,
        log=engine.log,
        cache=engine.cache,
        ids=engine.ids,
        clock=engine.clock,
        message_length=2_000,
        backlog_limit=BACKLOG_LIMIT,
    )


def processing(engine: Engine, handlers: dict[str, Handler]) -> Processing:
    return Processing(
        store=engine.tasks,
        cache=engine.cache,
        push=engine.push,
        clock=engine.clock,
        random=Random(1),
        handlers=handlers,
        result_bytes=1_000,
        threads=DaemonThreads(4),
    )


def worker(engine: Engine, handlers: dict[str, Handler], concurrency: int = 4) -> Worker:
    return Worker(
        name="worker",
        processing=processing(engine, handlers),
        log=engine.log,
        letters=engine.letters,
        push=engine.push,
        clock=engine.clock,
        metrics=PrometheusMetrics(),
        concurrency=concurrency,
    )


@handler("echo")
async def echo(payload: Any, _context: Context) -> Any:
    await asyncio.sleep(0)
    return payload


ECHO = {"echo": Handler(name="echo", run=echo)}


async def _submission(_engine: Engine, number: int) -> Record:
    made = make.task(number, performer_id=UserId(2))
    return Record(events.TASK_INGESTED, str(number), events.encode(make.submission(made)))


async def _stored(engine: Engine) -> list[int]:
    stored: list[int] = sorted(task.id for task in await engine.tasks.find(TaskQuery(limit=1_000)))
    await engine.settle()
    assert set(await _planned(engine)) >= set(stored), "who is told of a task is said in the transaction that stores it"
    return stored


# Those who watch all tasks, who stay when an engine goes, and what they have heard of. A test begins without any.
WATCHING: dict[Push, Subscription] = {}
HEARD: set[int] = set()


async def _created(engine: Engine, number: int) -> Record:
    await _watch(engine)
    made = make.task(number, performer_id=UserId(2))
    return Record(events.TASK_EVENTS, str(number), events.encode(make.created(made)))


async def _watch(engine: Engine) -> None:
    if engine.push not in WATCHING:
        WATCHING[engine.push] = await engine.push.subscribe([TASKS])


async def _announced(engine: Engine) -> list[int]:
    await _watch(engine)
    for subscription in WATCHING.values():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                messages = await subscription.read()
                assert messages is not None, "none is lost"
                HEARD.update(events.decode(events.TASK_EVENTS, one.body).data.task.id for one in messages)
    return sorted(HEARD)


async def _planned(engine: Engine) -> list[int]:
    topic = events.NOTIFICATION_EVENTS
    reader = engine.log.reader(topic, "test")
    found: list[Stored] = []
    # What is committed may come a moment later to who reads along; behind a wait in vain the engine itself is asked.
    while some := await reader.read(10_000, READ_ON_S):
        found += some
    # At least once is what the log gives; the event id is what makes it once.
    ids = {events.decode(topic, record.value).data.event_id for record in found}
    return sorted(int(event_id.split(".")[0]) for event_id in ids)


async def _plan(_engine: Engine, number: int) -> Record:
    plan = Planned(user_id=UserId(2), kind=Kind.MESSAGE, task_id=None, message="m", event_id=f"e.{number}")
    event = events.planned(plan, events.SYSTEM, make.NOW)
    return Record(events.NOTIFICATION_EVENTS, "2", events.encode(event))


async def _inbox(engine: Engine) -> list[int]:
    sql = "SELECT event_id FROM notifications ORDER BY id"
    return sorted(int(event_id.split(".")[1]) for (event_id,) in await engine.query(sql))


async def _work(engine: Engine, number: int) -> Record:
    job = make.task(number, handler="echo", max_attempts=50)
    await engine.tasks.insert([make.entry(job)])
    return Record(events.TASK_INPUT, str(number), events.encode(events.work(job, make.NOW)))


async def _finished(engine: Engine) -> list[int]:
    await engine.settle()
    found = await engine.tasks.find(TaskQuery(limit=1_000))
    completed = [
        events.decode(events.TASK_EVENTS, record.value)
        for record in await engine.log.reader(events.TASK_EVENTS, "test").read(10_000, 0)
    ]
    # An event may be said twice, after a crash; a result that is stored twice would be another event.
    done = {event.id: event.data.task.id for event in completed if event.type == "task.completed"}
    assert len(done) == len(set(done.values())), "a result is stored once"
    return sorted(task.id for task in found if task.status is Status.DONE)


async def _dead_delivery(engine: Engine, number: int) -> Record:
    delivery = Delivery(channel=Channel.EMAIL, notification=make.notification(number))
    await engine.jobs.put([delivery])
    await engine.jobs.bury(delivery, "refused")
    return Record(events.DELIVERIES, "1", msgspec.json.encode(delivery))


async def _waiting(engine: Engine) -> list[int]:
    sql = "SELECT notification_id FROM deliveries WHERE state = 'waiting' ORDER BY notification_id"
    return [number for (number,) in await engine.query(sql)]


def delivery_desk(engine: Engine, mailer: Mailer, caller: Caller | None = None) -> DeliveryDesk:
    return DeliveryDesk(
        jobs=engine.jobs,
        users=engine.users,
        mailer=mailer,
        hooks=engine.webhooks,
        caller=caller or LateCaller(),
        letters=engine.letters,
        clock=engine.clock,
        random=Random(1),
    )


def _build_redeliver(engine: Engine) -> Consumer:
    return loop(engine, "redeliver", events.DELIVERIES, delivery_desk(engine, ConsoleMailer()).revive)


def _build_inbox(engine: Engine) -> Consumer:
    inbox = Inbox(
        store=engine.notifications,
        preferences=engine.preferences,
        cache=engine.cache,
        push=engine.push,
        jobs=engine.jobs,
    )
    return loop(engine, "inbox", events.NOTIFICATION_EVENTS, inbox.receive)


CASES = [
    Case(
        name="ingest",
        topic=events.TASK_INGESTED,
        build=lambda e: loop(e, "ingest", events.TASK_INGESTED, Ingest(store=e.tasks, clock=e.clock).receive),
        feed=_submission,
        done=_stored,
    ),
    Case(
        name="feed",
        topic=events.TASK_EVENTS,
        build=lambda e: loop(e, "feed", events.TASK_EVENTS, Feed(push=e.push).announce),
        feed=_created,
        done=_announced,
    ),
    Case(name="inbox", topic=events.NOTIFICATION_EVENTS, build=_build_inbox, feed=_plan, done=_inbox),
    Case(name="redeliver", topic=events.DELIVERIES, build=_build_redeliver, feed=_dead_delivery, done=_waiting),
    Case(name="worker", topic=events.TASK_INPUT, build=lambda e: worker(e, ECHO), feed=_work, done=_finished),
]

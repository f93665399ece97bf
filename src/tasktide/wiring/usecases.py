"""From ports to use cases and pipelines."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom

from tasktide.domain import events
from tasktide.domain.fields import TaskLimits
from tasktide.domain.handlers import Handler
from tasktide.interfaces.platform import EdgeLimits, Platform
from tasktide.pipelines.heed import Heed
from tasktide.pipelines.loop import Handle, Pipeline
from tasktide.pipelines.process import Worker
from tasktide.pipelines.relay import Relay
from tasktide.pipelines.service import Service
from tasktide.pipelines.tick import Ticker
from tasktide.ports.log import Share
from tasktide.ports.references import References
from tasktide.settings import Settings
from tasktide.usecases.admission import Admission
from tasktide.usecases.delivery import DeliveryDesk
from tasktide.usecases.inbox import Inbox
from tasktide.usecases.ingest import Ingest
from tasktide.usecases.letters import DeadLetters
from tasktide.usecases.live import Feed, Live
from tasktide.usecases.notifications import Notifications
from tasktide.usecases.processing import Processing
from tasktide.usecases.replies import Idempotency
from tasktide.usecases.schedule import Schedule
from tasktide.usecases.stats import Stats
from tasktide.usecases.submissions import Submissions
from tasktide.usecases.tasks import Tasks
from tasktide.usecases.users import Users
from tasktide.usecases.webhooks import Webhooks
from tasktide.wiring.ports import Ports

RING_EVERY_S = 0.1
DELIVER_EVERY_S = 0.5
UPKEEP_EVERY_S = 5.0
# Pages gather what they hear for twice as long before they show it.
FEED_REST_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Pipelines:
    """Every pipeline of the platform by role; a role starts those it is made of."""

    gateway: Callable[[], list[Service]]
    ingest: Callable[[], list[Service]]
    worker: Callable[[], list[Service]]
    notifier: Callable[[], list[Service]]
    deliver: Callable[[], list[Service]]
    relay: Callable[[], list[Service]]
    schedule: Callable[[], list[Service]]


def platform(
    ports: Ports,
    settings: Settings,
    handlers: Mapping[str, Handler],
    services: Sequence[Service],
    people: Users | None = None,
    needs: Collection[str] = (),
) -> Platform:
    """What the interfaces call.

    The process is unready when one of its `services` stalls, or an engine is away that its roles need (what for).
    """
    people = people or users(ports, settings)
    limits = TaskLimits(
        title=settings.title_length,
        description=settings.description_length,
        labels=settings.labels,
        label=settings.label_length,
        observers=settings.observers,
        payload_bytes=settings.payload_bytes,
    )
    references = References(ports.users, frozenset(handlers))
    submissions = Submissions(
        store=ports.tasks,
        references=references,
        log=ports.log,
        intake=ports.intake,
        cache=ports.cache,
        ids=ports.ids,
        clock=ports.clock,
        limits=limits,
        backlog_limit=settings.backlog_limit,
    )
    return Platform(
        tasks=Tasks(
            store=ports.tasks,
            references=references,
            log=ports.log,
            cache=ports.cache,
            push=ports.push,
            clock=ports.clock,
            limits=limits,
            accepted=lambda: submissions.accepted,
            stopping=ports.stopping,
        ),
        submissions=submissions,
        users=people,
        notifications=_notifications(ports, settings),
        webhooks=Webhooks(
            store=ports.webhooks, caller=ports.caller, clock=ports.clock, private=settings.webhook_networks
        ),
        live=Live(
            store=ports.notifications,
            sessions=ports.sessions,
            push=ports.push,
            clock=ports.clock,
            stopping=ports.stopping,
        ),
        admission=Admission(
            limits=ports.limits,
            anonymous=settings.rate_anonymous,
            signed_in=settings.rate_signed_in,
            enabled=settings.rate_limiting,
        ),
        idempotency=Idempotency(replies=ports.replies, tokens=ports.tokens, clock=ports.clock),
        stats=Stats(
            store=ports.tasks,
            metrics=ports.metrics,
            clock=ports.clock,
            pings={name: ping for engines in ports.pings.values() for name, ping in engines.items()},
            needs={name for what in needs for name in ports.pings.get(what, ())},
            stalled=lambda: list(dict.fromkeys(service.name for service in services if service.stalled)),
        ),
        letters=DeadLetters(letters=ports.letters),
        limits=EdgeLimits(
            body_bytes=settings.body_bytes,
            batch_bytes=settings.batch_bytes,
            batch_items=settings.batch_items,
            body_s=settings.body_timeout_s,
            authenticate_s=settings.socket_auth_timeout_s,
            signing_in=settings.sockets_signing_in,
            send_s=settings.socket_send_timeout_s,
        ),
        cors_origins=settings.cors_origins,
        introspection=settings.graphql_introspection,
    )


def users(ports: Ports, settings: Settings) -> Users:
    """Accounts and sign-in."""
    return Users(
        store=ports.users,
        sessions=ports.sessions,
        tokens=ports.tokens,
        passwords=ports.passwords,
        cache=ports.cache,
        push=ports.push,
        ids=ports.ids,
        clock=ports.clock,
        token_lifetime_s=settings.token_lifetime_s,
        name_length=settings.name_length,
        is_open=settings.registration,
    )


def pipelines(ports: Ports, settings: Settings, handlers: Mapping[str, Handler], people: Users) -> Pipelines:
    """The pipelines, not yet started; `people` are those of the platform that runs beside them."""

    def loops(name: str, topic: str, handle: Handle, rest_s: float = 0.0) -> list[Service]:
        lanes = ports.log.lanes(topic)
        return [
            Pipeline(
                name=name,
                topic=topic,
                handle=handle,
                log=ports.log,
                letters=ports.letters,
                clock=ports.clock,
                metrics=ports.metrics,
                share=Share(lane, lanes),
                rest_s=rest_s,
            )
            for lane in range(lanes)
        ]

    def ingest() -> list[Service]:
        return loops("ingest", events.TASK_INGESTED, Ingest(store=ports.tasks, clock=ports.clock).receive)

    def notifier() -> list[Service]:
        inbox = Inbox(
            store=ports.notifications,
            preferences=ports.preferences,
            cache=ports.cache,
            push=ports.push,
            jobs=ports.jobs,
        )
        return [
            *loops("inbox", events.NOTIFICATION_EVENTS, inbox.receive),
            *loops("feed", events.TASK_EVENTS, Feed(push=ports.push).announce, FEED_REST_S),
        ]

    def deliver() -> list[Service]:
        desk = _delivery_desk(ports, settings)
        return [*_deliver(ports, desk), *loops("redeliver", events.DELIVERIES, desk.revive)]

    return Pipelines(
        gateway=lambda: [Heed(users=people, push=ports.push, until=ports.stopping)],
        ingest=ingest,
        worker=lambda: [_worker(ports, settings, handlers)],
        notifier=notifier,
        deliver=deliver,
        relay=lambda: _relay(ports),
        schedule=lambda: _schedule(ports, settings),
    )


def _notifications(ports: Ports, settings: Settings) -> Notifications:
    return Notifications(
        store=ports.notifications,
        users=ports.users,
        preferences=ports.preferences,
        log=ports.log,
        cache=ports.cache,
        ids=ports.ids,
        clock=ports.clock,
        message_length=settings.message_length,
        backlog_limit=settings.backlog_limit,
    )


def _worker(ports: Ports, settings: Settings, handlers: Mapping[str, Handler]) -> Worker:
    processing = Processing(
        store=ports.tasks,
        cache=ports.cache,
        push=ports.push,
        clock=ports.clock,
        random=SystemRandom(),
        handlers=handlers,
        result_bytes=settings.result_bytes,
        threads=ports.threads,
        # On a database of its own process, a worker that starts knows that no other one lives.
        lease_s=settings.job_lease_s if settings.database_url else None,
    )
    return Worker(
        name="worker",
        processing=processing,
        log=ports.log,
        letters=ports.letters,
        push=ports.push,
        clock=ports.clock,
        metrics=ports.metrics,
        concurrency=settings.worker_concurrency,
    )


def _relay(ports: Ports) -> list[Service]:
    carried: list[Service] = [Relay(outbox=one, log=ports.log, metrics=ports.metrics) for one in ports.outboxes]
    swept = [
        Ticker(name=name, tick=sweep, every_s=UPKEEP_EVERY_S, metrics=ports.metrics)
        for name, sweep in ports.upkeep.items()
    ]
    return [*carried, *swept]


def _delivery_desk(ports: Ports, settings: Settings) -> DeliveryDesk:
    return DeliveryDesk(
        jobs=ports.jobs,
        users=ports.users,
        mailer=ports.mail,
        hooks=ports.webhooks,
        caller=ports.caller,
        letters=ports.letters,
        clock=ports.clock,
        random=SystemRandom(),
        public_url=settings.public_url,
    )


def _deliver(ports: Ports, desk: DeliveryDesk) -> list[Service]:
    """Mail and webhooks, which do not wait for each other."""

    def counting(work: Callable[[], Awaitable[tuple[int, int]]]) -> Callable[[], Awaitable[int]]:
        async def tick() -> int:
            begun, buried = await work()
            if buried:
                ports.metrics.parked("deliver", buried)
            return begun

        return tick

    every_s, metrics = DELIVER_EVERY_S, ports.metrics
    return [
        Ticker(name="deliver", tick=counting(desk.deliver), every_s=every_s, metrics=metrics),
        Ticker(name="webhooks", tick=counting(desk.call), every_s=every_s, metrics=metrics, close=desk.close),
    ]


def _schedule(ports: Ports, settings: Settings) -> list[Service]:
    schedule = Schedule(
        store=ports.tasks,
        log=ports.log,
        jobs=ports.jobs,
        replies=ports.replies,
        sessions=ports.sessions,
        clock=ports.clock,
        random=SystemRandom(),
        log_retention_s=settings.log_retention_s,
        cache=ports.cache,
        push=ports.push,
        job_lease_s=settings.job_lease_s,
    )

    async def sweep() -> int:
        await schedule.sweep()
        return 0

    return [
        Ticker(name="schedule", tick=schedule.ring, every_s=RING_EVERY_S, metrics=ports.metrics),
        Ticker(name="sweep", tick=sweep, every_s=settings.sweep_interval_s, metrics=ports.metrics),
    ]

"""From settings to ports: the one place that chooses engines, and opens and closes them."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tasktide.adapters.console.mail import ConsoleMailer
from tasktide.adapters.http.late import LateCaller
from tasktide.adapters.memory.cache import MemoryCache
from tasktide.adapters.memory.limits import MemoryLimits
from tasktide.adapters.memory.push import MemoryPush
from tasktide.adapters.prometheus.metrics import PrometheusMetrics
from tasktide.adapters.security.passwords import Argon2Passwords
from tasktide.adapters.security.tokens import JwtTokens
from tasktide.adapters.system import secret
from tasktide.adapters.system.clock import SystemClock
from tasktide.adapters.system.threads import DaemonThreads
from tasktide.ports.cache import Cache
from tasktide.ports.clock import Clock
from tasktide.ports.ids import Ids
from tasktide.ports.intake import Intake
from tasktide.ports.jobs import Jobs
from tasktide.ports.letters import Letters
from tasktide.ports.limits import Limits
from tasktide.ports.log import RECORD_BYTES, Log
from tasktide.ports.mail import Mailer
from tasktide.ports.metrics import Metrics
from tasktide.ports.notifications import NotificationStore
from tasktide.ports.outbox import Outbox
from tasktide.ports.push import Push
from tasktide.ports.replies import Replies
from tasktide.ports.stopping import Stopping
from tasktide.ports.tasks import TaskStore
from tasktide.ports.threads import Threads
from tasktide.ports.tokens import Passwords, Tokens
from tasktide.ports.users import PreferenceStore, SessionStore, UserStore
from tasktide.ports.webhooks import Caller, WebhookStore
from tasktide.settings import Settings
from tasktide.wiring.embedded import CannotStart, or_cannot_start
from tasktide.wiring.stores import Pings, Stores, open_stores, patiently


@dataclass(frozen=True, kw_only=True)
class Ports:
    """An implementation of every port, and how to ask its engine whether it is there."""

    clock: Clock
    tasks: TaskStore
    users: UserStore
    sessions: SessionStore
    preferences: PreferenceStore
    webhooks: WebhookStore
    notifications: NotificationStore
    log: Log
    intake: Intake
    letters: Letters
    jobs: Jobs
    replies: Replies
    ids: Ids
    cache: Cache
    limits: Limits
    push: Push
    mail: Mailer
    caller: Caller
    tokens: Tokens
    passwords: Passwords
    metrics: Metrics
    threads: Threads
    stopping: Stopping
    pings: Pings
    outboxes: Sequence[Outbox] = ()
    upkeep: Mapping[str, Callable[[], Awaitable[int]]] = field(default_factory=dict)  # what is swept, by name


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What processes share beside the stores."""

    cache: Cache
    limits: Limits
    push: Push
    ids: Ids
    sessions: SessionStore
    pings: Pings = field(default_factory=dict)


# Bytes of JSON that a character may take: a control character as an escape.
ESCAPED = 6


def check(settings: Settings, *, is_whole: bool) -> None:
    """CannotStart when the settings do not go together; `is_whole`: this process runs all roles."""
    for name, urls in (("DB_SHARD_URLS", settings.shard_urls), ("DB_REPLICA_URLS", settings.replica_urls)):
        if urls and settings.database_url is None:
            raise CannotStart(f"{name} is set and DATABASE_URL is not: set it to the database for users.")
    shared = {
        "DATABASE_URL": settings.database_url,
        "KAFKA_BROKERS": settings.kafka_brokers,
        "REDIS_URL": settings.redis_url,
    }
    missing = [name for name, value in shared.items() if value is None]
    if not is_whole and missing and len(missing) < len(shared):
        raise CannotStart(
            f"Roles can run apart only on engines that processes share: set {' and '.join(missing)}, "
            "or run all roles in one process with `tasktide up`."
        )
    if settings.kafka_brokers is not None and (largest := _largest_event(settings)) > RECORD_BYTES:
        raise CannotStart(
            f"An event of a task may come to {largest:,} bytes, and a record of the log on KAFKA_BROKERS to "
            f"{RECORD_BYTES:,}: lower LIMIT_PAYLOAD, LIMIT_RESULT, LIMIT_TITLE or LIMIT_DESCRIPTION."
        )


def _largest_event(settings: Settings) -> int:
    """Bytes of an edit: what was there before, what is there now, and the task as it is now."""
    characters = settings.title_length + settings.description_length
    return 3 * (settings.payload_bytes + settings.result_bytes + ESCAPED * characters)


@contextlib.asynccontextmanager
async def open_ports(settings: Settings, *, server: bool = True) -> AsyncIterator[Ports]:
    """The engines that the settings ask for, closed in reverse at the end.

    With an embedded engine a server holds the data folder for itself; a command line tool (`server=False`) works
    beside it. CannotStart when the folder is in use, cannot be written, or was written by a newer version, and when
    an engine does not answer in time.
    """
    async with contextlib.AsyncExitStack() as stack:
        clock = SystemClock()
        metrics = PrometheusMetrics()
        stores = await open_stores(settings, clock, metrics, stack, server=server)
        key = settings.jwt_secret or _kept_secret(settings)
        shared = await _shared(settings, clock, metrics, stores, stack)
        jobs, job_pings = await _jobs(settings, clock, stores, stack)
        mail, mail_pings = _mail(settings, clock)
        caller = LateCaller(settings.webhook_networks)
        stack.push_async_callback(caller.close)
        passwords = Argon2Passwords()
        stack.callback(passwords.close)
        yield Ports(
            clock=clock,
            tasks=stores.tasks,
            users=stores.users,
            sessions=shared.sessions,
            preferences=stores.preferences,
            webhooks=stores.webhooks,
            notifications=stores.notifications,
            log=stores.log,
            intake=stores.intake,
            letters=stores.letters,
            jobs=jobs,
            replies=stores.replies,
            ids=shared.ids,
            cache=shared.cache,
            limits=shared.limits,
            push=shared.push,
            mail=mail,
            caller=caller,
            tokens=JwtTokens(key, clock),
            passwords=passwords,
            metrics=metrics,
            threads=DaemonThreads(settings.worker_threads),
            stopping=Stopping(shared.push),
            pings={**stores.pings, **shared.pings, **job_pings, **mail_pings},
            outboxes=stores.outboxes,
            upkeep=stores.upkeep,
        )


def _kept_secret(settings: Settings) -> str:
    with or_cannot_start(settings.data_dir):
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return secret.keep(settings.data_dir)


async def _shared(
    settings: Settings, clock: Clock, metrics: Metrics, stores: Stores, stack: contextlib.AsyncExitStack
) -> _Shared:
    limits, push = MemoryLimits(clock), MemoryPush()
    if settings.redis_url is None:
        return _Shared(cache=MemoryCache(clock), limits=limits, push=push, ids=stores.ids, sessions=stores.sessions)
    # Imported where it is used: the embedded engines start without it.
    from tasktide.adapters.redis.cache import RedisCache  # noqa: PLC0415
    from tasktide.adapters.redis.client import Client  # noqa: PLC0415
    from tasktide.adapters.redis.ids import RedisIds  # noqa: PLC0415
    from tasktide.adapters.redis.limits import RedisLimits  # noqa: PLC0415
    from tasktide.adapters.redis.push import RedisPush  # noqa: PLC0415
    from tasktide.adapters.redis.sessions import RedisSessions  # noqa: PLC0415

    client = Client(settings.redis_url)
    stack.push_async_callback(client.close)
    await patiently("REDIS_URL", client.ping)
    shared_push, cache, shared_limits = (
        RedisPush(client, push),
        RedisCache(client),
        RedisLimits(client, limits, metrics),
    )
    for part in (shared_push, cache, shared_limits):
        stack.push_async_callback(part.close)
    return _Shared(
        cache=cache,
        limits=shared_limits,
        push=shared_push,
        ids=RedisIds(client, stores.ids),
        sessions=RedisSessions(client, stores.sessions),
        pings={"shared": {"redis": client.ping}},
    )


async def _jobs(
    settings: Settings, clock: Clock, stores: Stores, stack: contextlib.AsyncExitStack
) -> tuple[Jobs, Pings]:
    if settings.rabbitmq_url is None:
        return stores.jobs, {}
    from tasktide.adapters.rabbitmq.jobs import RabbitJobs  # noqa: PLC0415

    jobs = RabbitJobs(settings.rabbitmq_url, stores.jobs, clock)
    stack.push_async_callback(jobs.close)
    await patiently("RABBITMQ_URL", jobs.ping)
    return jobs, {"jobs": {"rabbitmq": jobs.ping}}


def _mail(settings: Settings, clock: Clock) -> tuple[Mailer, Pings]:
    if settings.smtp_url is None:
        return ConsoleMailer(), {}
    from tasktide.adapters.smtp.mail import SmtpMailer  # noqa: PLC0415

    unsubscribe = f"{settings.public_url}/app/settings" if settings.public_url else ""
    mailer = SmtpMailer(settings.smtp_url, settings.mail_from, clock, unsubscribe)
    return mailer, {"mail": {"smtp": mailer.ping}}

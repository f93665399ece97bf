"""What commands do with the data without serving it: bring the schema up to date, and read all of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from tasktide.adapters.system.clock import SystemClock
from tasktide.domain.errors import Unavailable
from tasktide.ports.evidence import LogEvidence, StoreEvidence
from tasktide.settings import Settings
from tasktide.wiring import embedded
from tasktide.wiring.embedded import CannotStart
from tasktide.wiring.stores import Ping

ASK_S = 5.0


async def migrate_data(settings: Settings) -> list[int]:
    """Bring the schema up to date; the numbers of the migrations applied. CannotStart says why not."""
    if settings.database_url is None:
        return await asyncio.to_thread(embedded.migrate_folder, settings.data_dir)
    from tasktide.adapters.postgres import stores as postgres  # noqa: PLC0415 - only where it is used

    try:
        return await postgres.migrate_urls(settings.database_url, settings.shard_urls)
    except postgres.SchemaTooNew as newer:
        raise CannotStart(f"{newer}: install that version.") from None
    except Unavailable as away:
        raise CannotStart(f"DATABASE_URL and DB_SHARD_URLS: {away.whole}") from None


class Evidence(NamedTuple):
    """What is kept, in the log and in the stores."""

    log: LogEvidence
    stores: StoreEvidence


@contextlib.asynccontextmanager
async def open_evidence(settings: Settings) -> AsyncIterator[Evidence]:
    """All that is kept, for reading alone; CannotStart when there is nothing to read."""
    async with contextlib.AsyncExitStack() as stack:
        log: LogEvidence | None = None
        if settings.kafka_brokers:
            from tasktide.adapters.kafka.evidence import KafkaEvidence  # noqa: PLC0415 - only where it is used
            from tasktide.adapters.kafka.log import KafkaLog  # noqa: PLC0415

            kafka = KafkaLog(settings.kafka_brokers, settings.kafka_prefix)
            stack.push_async_callback(kafka.close)
            log = KafkaEvidence(kafka, settings.kafka_brokers, settings.kafka_prefix)
        stores: StoreEvidence | None = None
        if settings.database_url:
            from tasktide.adapters.postgres.database import Database  # noqa: PLC0415
            from tasktide.adapters.postgres.evidence import PostgresEvidence  # noqa: PLC0415

            base = Database(settings.database_url, 2)
            databases = [Database(url, 2) for url in settings.shard_urls] or [base]
            for one in (base, *databases):
                stack.push_async_callback(one.close)
            stores = postgres = PostgresEvidence(base, databases)
            stack.push_async_callback(postgres.close)
        if log is None or stores is None:
            folder = stack.enter_context(embedded.embedded_evidence(settings))
            log, stores = log or folder, stores or folder
        yield Evidence(log, stores)


async def ask_engines(settings: Settings) -> dict[str, str | None]:
    """Whether each engine that the settings name answers, by its variable: None, or what is wrong."""
    found: dict[str, str | None] = {}
    async with contextlib.AsyncExitStack() as stack:
        for variable, ping in (await _pings(settings, stack)).items():
            try:
                async with asyncio.timeout(ASK_S):
                    await ping()
                found[variable] = None
            except TimeoutError:
                found[variable] = f"no answer within {ASK_S:g} s"
            except Unavailable as away:
                found[variable] = away.whole
    return found


async def _pings(settings: Settings, stack: contextlib.AsyncExitStack) -> dict[str, Ping]:
    pings: dict[str, Ping] = {}
    if settings.database_url:
        from tasktide.adapters.postgres.database import Database  # noqa: PLC0415

        urls = {"DATABASE_URL": settings.database_url}
        urls |= {f"DB_SHARD_URLS, number {n}": url for n, url in enumerate(settings.shard_urls, 1)}
        urls |= {f"DB_REPLICA_URLS, number {n}": url for n, url in enumerate(settings.replica_urls, 1)}
        for name, url in urls.items():
            database = Database(url, 1)
            stack.push_async_callback(database.close)
            pings[name] = database.ping
    if settings.kafka_brokers:
        from tasktide.adapters.kafka.log import KafkaLog  # noqa: PLC0415

        kafka = KafkaLog(settings.kafka_brokers, settings.kafka_prefix)
        stack.push_async_callback(kafka.close)
        pings["KAFKA_BROKERS"] = kafka.ping
    if settings.rabbitmq_url:
        from tasktide.adapters.rabbitmq.jobs import ask  # noqa: PLC0415

        rabbitmq_url = settings.rabbitmq_url
        pings["RABBITMQ_URL"] = lambda: ask(rabbitmq_url)
    if settings.redis_url:
        from tasktide.adapters.redis.client import Client  # noqa: PLC0415

        client = Client(settings.redis_url)
        stack.push_async_callback(client.close)
        pings["REDIS_URL"] = client.ping
    if settings.smtp_url:
        from tasktide.adapters.smtp.mail import SmtpMailer  # noqa: PLC0415

        pings["SMTP_URL"] = SmtpMailer(settings.smtp_url, settings.mail_from, SystemClock()).ping
    return pings

"""What the delivery queue promises, on a real RabbitMQ over a store on PostgreSQL."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aio_pika
import pytest

from support import make, stack
from support.engines import Engine, open_engine
from tasktide.adapters.rabbitmq import jobs as rabbitmq
from tasktide.adapters.rabbitmq.jobs import DELAYS_S, RabbitJobs
from tasktide.domain.deliveries import Delivery
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with open_engine("postgres", tmp_path) as opened:
        yield opened


@pytest.fixture
async def pair(engine: Engine) -> AsyncIterator[tuple[RabbitJobs, RabbitJobs]]:
    """Two processes on the same queues."""
    url = stack.variables()["RABBITMQ_URL"]
    prefix = f"test-{secrets.token_hex(4)}."
    both = RabbitJobs(url, engine.jobs, engine.clock, prefix), RabbitJobs(url, engine.jobs, engine.clock, prefix)
    for one in both:
        one._swept_at = engine.clock.monotonic()
        await one.ping()
    yield both
    for one in both:
        await one.close()
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        for name in ("", ".dead", *(f".retry.{delay_s}" for delay_s in DELAYS_S)):
            await channel.queue_delete(f"{prefix}{rabbitmq.QUEUE}{name}")


def delivery(number: int) -> Delivery:
    return Delivery(channel=Channel.EMAIL, notification=make.notification(number))


async def taken(jobs: RabbitJobs, count: int) -> list[Delivery]:
    """So many, as they come."""
    found: list[Delivery] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            found += await jobs.take(10, 60)
            await asyncio.sleep(0.01)
    return found


def numbers(some: Sequence[Delivery]) -> list[int]:
    return sorted(one.notification.id for one in some)


async def test_each_is_taken_once_and_is_over_when_done(engine: Engine, pair: tuple[RabbitJobs, RabbitJobs]) -> None:
    one, two = pair
    await one.put([delivery(n) for n in range(1, 21)])
    await two.put([delivery(n) for n in range(1, 21)])  # a batch that is repeated
    found: list[Delivery] = []
    async with asyncio.timeout(15):
        while len(found) < 20:
            found += [*await one.take(10, 60), *await two.take(10, 60)]
            await asyncio.sleep(0.01)
    assert numbers(found) == list(range(1, 21))
    assert {item.attempts for item in found} == {1}
    await one.done(found)
    await two.done(found)
    assert await engine.waiting() == 0
    await one.put([delivery(1)])
    await asyncio.sleep(0.2)
    assert await one.take(10, 60) == []


async def test_a_failed_one_comes_back_when_it_is_due_and_a_buried_one_when_revived(
    engine: Engine, pair: tuple[RabbitJobs, RabbitJobs]
) -> None:
    jobs, _ = pair
    await jobs.put([delivery(1), delivery(2)])
    first, second = sorted(await taken(jobs, 2), key=lambda one: one.key)
    await jobs.retry(first, 0.9, "refused")
    await jobs.bury(second, "refused")
    assert await jobs.take(10, 60) == []
    engine.clock.advance(1)
    [again] = await taken(jobs, 1)
    assert (again.notification.id, again.attempts) == (1, 2)
    await jobs.done([again])
    await jobs.revive([delivery(2)])
    assert numbers(await taken(jobs, 1)) == [2]
    channel = await jobs._open()
    dead = await (await channel.get_queue(f"{jobs._queue}.dead")).get(no_ack=True)
    assert dead is not None
    assert dead.expiration == rabbitmq.DEAD_KEPT_S, "nobody empties that queue"


async def test_what_the_queue_lost_is_found_in_the_store(
    engine: Engine, pair: tuple[RabbitJobs, RabbitJobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, _ = pair
    await engine.jobs.put([delivery(1)])  # and the process died before it was published
    assert await jobs.take(10, 60) == []
    engine.clock.advance(rabbitmq.SWEEP_S + 1)
    assert numbers(await jobs.take(10, 60)) == [1]


async def test_what_the_queue_lost_is_found_however_much_comes_through_it(
    engine: Engine, pair: tuple[RabbitJobs, RabbitJobs]
) -> None:
    jobs, _ = pair
    await engine.jobs.put([delivery(1)])  # and the process died before it was published
    await jobs.put([delivery(n) for n in range(2, 42)])
    await taken(jobs, 1)
    async with asyncio.timeout(15):
        while jobs._arrived.qsize() < 20:
            await asyncio.sleep(0.01)
    engine.clock.advance(rabbitmq.SWEEP_S + 1)
    assert 1 in numbers(await jobs.take(4, 60))
    assert jobs._arrived.qsize(), "they were no reason to put it off"


async def test_what_a_dead_process_held_goes_to_another(engine: Engine, pair: tuple[RabbitJobs, RabbitJobs]) -> None:
    one, two = pair
    await one.put([delivery(1)])
    await taken(one, 1)
    await one.close()
    await asyncio.sleep(0.2)
    assert await two.take(10, 60) == [], "its lease still holds"
    engine.clock.advance(61)
    assert numbers(await taken(two, 1)) == [1]


async def test_rubbish_on_the_queue_is_dropped(pair: tuple[RabbitJobs, RabbitJobs]) -> None:
    jobs, _ = pair
    channel = await jobs._open()
    await channel.default_exchange.publish(aio_pika.Message(b"\xffnonsense"), routing_key=jobs._queue)
    await jobs.put([delivery(1)])
    assert numbers(await taken(jobs, 1)) == [1]


async def test_a_broker_that_is_away_is_an_answer_and_the_store_has_it(engine: Engine) -> None:
    jobs = RabbitJobs("amqp://guest:guest@127.0.0.1:9/", engine.jobs, engine.clock)
    await jobs.put([delivery(1)])
    for call in (jobs.ping, lambda: jobs.take(10, 60)):
        with pytest.raises(Unavailable):
            await call()
    assert await engine.waiting() == 1


async def test_webhooks_go_past_the_queue_in_their_order(pair: tuple[RabbitJobs, RabbitJobs]) -> None:
    jobs, other = pair
    calls = [Delivery(channel=Channel.WEBHOOK, notification=make.notification(number)) for number in (2, 1, 3)]
    await jobs.put([*calls, delivery(9)])
    assert numbers(await taken(other, 1)) == [9]
    assert await other.waiting_users(UserId(0), 10) == [UserId(1)]
    first, second = await other.take_calls(UserId(1), 2, 60)
    assert numbers([first, second]) == [1, 2]
    await other.retry(first, 0, "503")
    await other.give_back([second])
    assert [(one.notification.id, one.attempts) for one in await jobs.take_calls(UserId(1), 9, 60)] == [
        (1, 2), (2, 1), (3, 1),
    ]  # fmt: skip
    await asyncio.sleep(0.2)
    assert await jobs.take(10, 60) == [], "none of them comes through the queue"

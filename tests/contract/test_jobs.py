"""What every delivery queue promises."""

from support import make
from support.engines import Engine
from tasktide.domain.deliveries import Delivery
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel
from tasktide.domain.times import later


def delivery(number: int) -> Delivery:
    return Delivery(channel=Channel.EMAIL, notification=make.notification(number))


async def numbers(engine: Engine, limit: int = 10) -> list[int]:
    return [one.notification.id for one in await engine.jobs.take(limit, 60)]


async def test_each_is_taken_once_until_its_lease_ends(engine: Engine) -> None:
    await engine.jobs.put([delivery(1), delivery(2), delivery(3)])
    assert await numbers(engine, 2) == [1, 2]
    assert await numbers(engine) == [3]
    assert await numbers(engine) == []
    engine.clock.advance(61)
    again = await engine.jobs.take(10, 60)
    assert [(one.notification.id, one.attempts) for one in again] == [(1, 2), (2, 2), (3, 2)]


async def test_what_was_ever_queued_is_not_queued_again(engine: Engine) -> None:
    await engine.jobs.put([delivery(1)])
    await engine.jobs.put([delivery(1)])
    taken = await engine.jobs.take(10, 60)
    assert len(taken) == 1
    await engine.jobs.done(taken)
    await engine.jobs.put([delivery(1)])
    engine.clock.advance(100)
    assert await numbers(engine) == []
    assert await engine.waiting() == 0


async def test_a_failed_one_is_due_later_and_a_buried_one_never(engine: Engine) -> None:
    await engine.jobs.put([delivery(1), delivery(2)])
    first, second = await engine.jobs.take(10, 60)
    await engine.jobs.retry(first, 5, "refused")
    await engine.jobs.bury(second, "refused")
    assert await numbers(engine) == []
    engine.clock.advance(5)
    [again] = await engine.jobs.take(10, 60)
    assert (again.notification.id, again.attempts) == (1, 2)
    engine.clock.advance(1_000)
    assert await numbers(engine) == [1]
    assert await engine.waiting() == 1


async def test_purge_forgets_what_went_out_long_ago(engine: Engine) -> None:
    await engine.jobs.put([delivery(1), delivery(2)])
    await engine.jobs.done(await engine.jobs.take(1, 60))
    assert await engine.jobs.purge(engine.clock.now()) == 0
    assert await engine.jobs.purge(later(engine.clock.now(), 1)) == 1
    assert await engine.waiting() == 1


def calls(*numbers: int, user_id: int = 1) -> list[Delivery]:
    return [Delivery(channel=Channel.WEBHOOK, notification=make.notification(one, user_id)) for one in numbers]


async def test_webhooks_are_taken_by_user_in_order_and_apart_from_mail(engine: Engine) -> None:
    jobs, ann, bob = engine.jobs, UserId(1), UserId(2)
    await jobs.put([*calls(5, 3, 4), *calls(1, user_id=2), delivery(9)])
    assert await jobs.waiting_users(UserId(0), 10) == [ann, bob]
    assert await jobs.waiting_users(UserId(0), 1) == [ann]
    assert await jobs.waiting_users(ann, 10) == [bob]
    assert await numbers(engine) == [9]
    taken = await jobs.take_calls(ann, 2, 60)
    assert [(one.notification.id, one.channel, one.attempts) for one in taken] == [
        (3, Channel.WEBHOOK, 1),
        (4, Channel.WEBHOOK, 1),
    ]
    assert await jobs.take_calls(ann, 2, 60) == [], "one at a time calls for a user"
    assert await jobs.waiting_users(UserId(0), 10) == [bob]
    await jobs.done(taken[:1])
    await jobs.retry(taken[1], 30, "503")
    assert await jobs.waiting_users(UserId(0), 10) == [ann, bob], "what waits for its next try keeps nobody back"
    assert [one.notification.id for one in await jobs.take_calls(ann, 2, 60)] == [5]
    engine.clock.advance(61)
    assert [(one.notification.id, one.attempts) for one in await jobs.take_calls(ann, 9, 60)] == [(4, 2), (5, 2)]


async def test_what_is_given_back_was_never_taken(engine: Engine) -> None:
    await engine.jobs.put([*calls(1, 2), delivery(3)])
    await engine.jobs.give_back([*await engine.jobs.take_calls(UserId(1), 9, 60), *await engine.jobs.take(9, 60)])
    assert [(one.notification.id, one.attempts) for one in await engine.jobs.take(9, 60)] == [(3, 1)]
    assert [one.attempts for one in await engine.jobs.take_calls(UserId(1), 9, 60)] == [1, 1]

"""Webhooks: in order, and nobody waits for somebody else's receiver."""

import asyncio
from collections import Counter, defaultdict

import msgspec
import pytest

from support import make
from support.engines import Engine
from support.pipelines import delivery_desk
from tasktide.adapters.console.mail import ConsoleMailer
from tasktide.domain import webhooks
from tasktide.domain.deliveries import Delivery, Mail, Refused
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel, Kind, default_preferences
from tasktide.domain.webhooks import Call, Webhook
from tasktide.ports.mail import Mailer
from tasktide.usecases.delivery import CALLS, LEASE_S, REST_S, DeliveryDesk
from tasktide.usecases.inbox import Inbox

SECRET = webhooks.secret_of(bytes(32))
ANN, BOB = UserId(1), UserId(2)


class Receivers:
    """Who is called, by address: each keeps the numbers it took, fails as often as told, and may hang."""

    def __init__(self) -> None:
        self.took: dict[str, list[int]] = defaultdict(list)
        self.tries: Counter[int] = Counter()
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        self.poison: set[int] = set()
        self.hangs: set[str] = set()
        self.slows: set[str] = set()
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0

    async def call(self, call: Call) -> None:
        """See the port."""
        number = msgspec.json.decode(call.body)["data"]["id"]
        self.tries[number] += 1
        self.at_once[call.url] += 1
        self.most_at_once = max(self.most_at_once, self.at_once[call.url])
        try:
            await asyncio.sleep(0.05 if call.url in self.slows else 0)
            if call.url in self.hangs:
                await asyncio.Event().wait()
            if number in self.poison:
                raise Unavailable("webhook", "500")
            if self.failures[call.url]:
                raise self.failures[call.url].pop(0)
            self.took[call.url].append(number)
        finally:
            self.at_once[call.url] -= 1


def url(user_id: UserId) -> str:
    return f"https://example.org/{user_id}"


async def with_hooks(engine: Engine, mailer: Mailer | None = None) -> tuple[DeliveryDesk, Receivers]:
    receivers = Receivers()
    for user_id in (ANN, BOB):
        await engine.webhooks.put(user_id, Webhook(url=url(user_id), secret=SECRET, created_at=make.NOW))
    return delivery_desk(engine, mailer or ConsoleMailer(), receivers), receivers


async def put(engine: Engine, numbers: range, user_id: UserId = ANN, channel: Channel = Channel.WEBHOOK) -> None:
    await engine.jobs.put([Delivery(channel=channel, notification=make.notification(n, user_id)) for n in numbers])


async def work(engine: Engine, desk: DeliveryDesk, seconds: int) -> None:
    """So many seconds of the desk, each with all that is due in it."""
    for _ in range(seconds):
        is_busy = True
        while is_busy:
            await settle()
            is_busy = (await desk.call())[0] + (await desk.deliver())[0] > 0
        engine.clock.advance(1)


def lanes() -> list[asyncio.Task[None]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("webhooks of")]


async def settle() -> None:
    """Return when nobody is called any more, but those that hang."""
    if running := lanes():
        await asyncio.wait(running, timeout=0.5)


async def test_all_are_called_in_order_and_one_at_a_time(engine: Engine) -> None:
    desk, receivers = await with_hooks(engine)
    await put(engine, range(1, 4 * CALLS))
    await desk.call()
    await desk.call()
    await put(engine, range(4 * CALLS, 6 * CALLS))
    await work(engine, desk, 2)
    assert receivers.took[url(ANN)] == list(range(1, 6 * CALLS))
    assert receivers.most_at_once == 1
    assert await engine.waiting() == 0
    assert set(receivers.tries.values()) == {1}


async def test_a_receiver_that_hangs_holds_up_neither_others_nor_mail(engine: Engine) -> None:
    sent: list[str] = []

    class Post:
        async def send(self, mail: Mail) -> None:
            sent.append(mail.message_id)

    desk, receivers = await with_hooks(engine, Post())
    await engine.users.add(make.account(2))
    receivers.hangs = {url(ANN)}
    await put(engine, range(1, 100))
    await put(engine, range(1_000, 1_010), BOB)
    await put(engine, range(2_000, 2_003), BOB, Channel.EMAIL)
    await work(engine, desk, 2)
    assert receivers.took == {url(BOB): list(range(1_000, 1_010))}
    assert len(sent) == 3
    receivers.hangs.clear()
    for running in lanes():
        running.cancel()
    engine.clock.advance(LEASE_S)
    await work(engine, desk, 2)
    assert receivers.took[url(ANN)] == list(range(1, 100)), "none was lost on the way"


async def test_all_have_their_turn_where_there_are_more_than_lanes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasktide.usecases.delivery.LANES", 2)
    monkeypatch.setattr("tasktide.usecases.delivery.TURN_S", 0.0)
    desk, receivers = await with_hooks(engine)
    users = [UserId(number) for number in range(1, 6)]
    for user_id in users:
        await engine.webhooks.put(user_id, Webhook(url=url(user_id), secret=SECRET, created_at=make.NOW))
        await put(engine, range(100 * user_id, 100 * user_id + 2 * CALLS), user_id)
    turns = []
    for _ in range(5):
        assert (await desk.call())[0] == 2
        await settle()
        turns.append([len(receivers.took[url(user_id)]) // CALLS for user_id in users])
    assert turns == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [2, 1, 1, 1, 1], [2, 2, 2, 1, 1], [2, 2, 2, 2, 2]]


async def test_two_desks_do_not_call_for_one_user_at_once(engine: Engine) -> None:
    desk, receivers = await with_hooks(engine)
    other, others = await with_hooks(engine)
    receivers.hangs = {url(ANN)}
    await put(engine, range(1, 4))
    await put(engine, range(4, 5), BOB)
    await desk.call()
    await settle()
    await put(engine, range(5, 8))
    await work(engine, other, 2)
    assert others.took == {}, "one is at it"
    [running] = lanes()
    running.cancel()
    engine.clock.advance(LEASE_S)
    await work(engine, other, 2)
    assert others.took[url(ANN)] == [1, 2, 3, 5, 6, 7]


async def test_after_a_failure_the_rest_waits_untried_and_follows_in_order(engine: Engine) -> None:
    desk, receivers = await with_hooks(engine)
    receivers.failures[url(ANN)] = [Unavailable("webhook", "503")] * 2
    await put(engine, range(1, 31))
    await work(engine, desk, 5)
    assert receivers.tries == {1: 1}, "the others are not spent on a receiver that is away"
    await work(engine, desk, 3)
    assert receivers.tries == {1: 2}
    await work(engine, desk, int(REST_S) + 10)
    assert sorted(receivers.took[url(ANN)]) == list(range(1, 31))
    assert receivers.took[url(ANN)][:2] == [2, 3] or receivers.took[url(ANN)][0] == 1
    assert receivers.tries[30] == 1


async def test_what_one_refuses_for_good_does_not_stop_the_others(engine: Engine) -> None:
    desk, receivers = await with_hooks(engine)
    receivers.failures[url(ANN)] = [Refused("410")]
    await put(engine, range(1, 4))
    await put(engine, range(1, 2), channel=Channel.EMAIL)
    assert await desk.deliver() == (1, 1), "the mail, whose user has no address"
    assert await desk.call() == (1, 0)
    await settle()
    assert await desk.call() == (0, 1)
    assert receivers.took[url(ANN)] == [2, 3]
    letters = await engine.letters.find(0, 10)
    assert sorted((one.pipeline, one.position, one.attempts) for one in letters) == [
        ("deliver-email", 1, 1),
        ("deliver-webhook", 1, 1),
    ]


async def test_what_fails_for_a_night_is_a_dead_letter_and_the_rest_is_called_meanwhile(engine: Engine) -> None:
    desk, receivers = await with_hooks(engine)
    receivers.poison = {1}
    await put(engine, range(1, 4))
    await work(engine, desk, 2 * int(REST_S) + 20)
    assert receivers.took[url(ANN)] == [2, 3]
    for wait_s in (330, 2_000, 8_000, 24_000, 48_000):
        assert await engine.waiting() == 1
        engine.clock.advance(wait_s)
        await work(engine, desk, 1)
    [letter] = await engine.letters.find(0, 10)
    assert (letter.position, letter.attempts, letter.reason) == (1, 8, "Unavailable: 500")
    assert (await engine.waiting(), receivers.took[url(ANN)]) == (0, [2, 3])


async def test_a_webhook_that_was_removed_is_not_called(engine: Engine) -> None:
    desk, receivers = await with_hooks(engine)
    await put(engine, range(1, 4))
    await engine.webhooks.remove(ANN)
    await work(engine, desk, 3)
    assert (receivers.took, await engine.waiting(), list(await engine.letters.find(0, 10))) == ({}, 0, [])


async def test_at_the_end_a_call_that_hangs_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktide.usecases.delivery.CLOSE_S", 0.05)
    desk, receivers = await with_hooks(engine)
    receivers.hangs = {url(ANN)}
    await put(engine, range(1, 4))
    await desk.call()
    await settle()
    receivers.hangs.clear()
    await desk.close()
    assert not lanes()
    assert (await desk.call())[0] == 0, "nobody is called any more"
    other, others = await with_hooks(engine)
    engine.clock.advance(LEASE_S)
    await work(engine, other, 2)
    assert others.took[url(ANN)] == [1, 2, 3]
    await other.close()


async def test_at_the_end_what_was_not_begun_is_given_back(engine: Engine) -> None:
    desk, receivers = await with_hooks(engine)
    receivers.slows = {url(ANN)}
    await put(engine, range(1, 4))
    await desk.call()
    while not receivers.tries:
        await asyncio.sleep(0.001)
    await desk.close()
    assert receivers.took[url(ANN)] == [1]
    left = await engine.jobs.take_calls(ANN, 10, LEASE_S)
    assert [(one.notification.id, one.attempts) for one in left] == [(2, 1), (3, 1)]


async def test_only_what_is_wanted_by_webhook_is_queued_for_one(engine: Engine) -> None:
    chosen = default_preferences()
    chosen[Channel.WEBHOOK][Kind.MESSAGE] = True
    await engine.preferences.prefer(ANN, chosen)
    inbox = Inbox(
        store=engine.notifications,
        preferences=engine.preferences,
        cache=engine.cache,
        push=engine.push,
        jobs=engine.jobs,
    )
    plans = [make.told(1, ANN, "a"), make.told(2, BOB, "b")]
    quiet = msgspec.structs.replace(plans[0].data, kind=Kind.UPDATED, event_id="c")
    await inbox.receive([*plans, msgspec.structs.replace(plans[0], data=quiet)])
    assert await engine.jobs.waiting_users(UserId(0), 10) == [ANN]
    taken = await engine.jobs.take_calls(ANN, 10, 60)
    assert [(one.channel, one.user_id, one.notification.kind) for one in taken] == [
        (Channel.WEBHOOK, ANN, Kind.MESSAGE)
    ]

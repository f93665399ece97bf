"""What the log promises, on a real Kafka: each test has topics of its own."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable

import pytest

from support import stack
from tasktide.adapters.kafka import reader as kafka_reader
from tasktide.adapters.kafka.backlog import Backlog
from tasktide.adapters.kafka.evidence import KafkaEvidence
from tasktide.adapters.kafka.log import KafkaLog
from tasktide.adapters.kafka.reader import KafkaReader
from tasktide.domain.errors import Unavailable
from tasktide.domain.times import Timestamp
from tasktide.ports.log import Record, Share, Stored

TOPIC = "task.events"
FUTURE = Timestamp("2099-01-01T00:00:00.000Z")
PAST = Timestamp("2001-01-01T00:00:00.000Z")

Opener = Callable[[], KafkaLog]


@pytest.fixture
async def opener() -> AsyncIterator[Opener]:
    """Opens the same log as another process would."""
    brokers = stack.variables()["KAFKA_BROKERS"]
    prefix = f"test-{secrets.token_hex(4)}."
    opened: list[KafkaLog] = []

    def open_log() -> KafkaLog:
        opened.append(KafkaLog(brokers, prefix, partitions=3))
        return opened[-1]

    await open_log().make_topics()
    yield open_log
    for one in opened:
        await one.close()
    admin = opened[0]._admin
    names = [name for name in admin.list_topics(timeout=5).topics if name.startswith(prefix)]
    for future in admin.delete_topics(names).values():
        with contextlib.suppress(Exception):
            await asyncio.wrap_future(future)


@pytest.fixture
async def log(opener: Opener) -> KafkaLog:
    return opener()


def records(first: int, last: int, key: str = "key-{}") -> list[Record]:
    return [Record(TOPIC, key.format(n), b"%d" % n) for n in range(first, last + 1)]


async def read(reader: KafkaReader, count: int) -> list[Stored]:
    """So many records, and no more for a moment."""
    found: list[Stored] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await reader.read(1_000, 0.5)
    found += await reader.read(1_000, 0.1)
    assert len(found) == count
    return found


def values(found: list[Stored]) -> list[int]:
    return sorted(int(one.value) for one in found)


async def test_a_group_reads_what_was_appended_once_and_in_order_of_each_key(log: KafkaLog) -> None:
    reader = log.reader(TOPIC, "a")
    for n in range(20):
        await log.append([Record(TOPIC, key, b"%d" % n) for key in ("x", "y", "z")])
    found = await read(reader, 60)
    for key in ("x", "y", "z"):
        assert [int(one.value) for one in found if one.key == key] == list(range(20))
    assert len({one.position for one in found}) == 60


async def test_reading_starts_behind_the_last_commit(opener: Opener) -> None:
    first = opener()
    await first.append(records(1, 30))
    reader = first.reader(TOPIC, "a")
    found = await read(reader, 30)
    await reader.commit(found[9].position)
    await first.close()
    again = await read(opener().reader(TOPIC, "a"), 20)
    assert values(again) == values(found[10:])


async def test_groups_are_apart(log: KafkaLog) -> None:
    await log.append(records(1, 5))
    first, second = log.reader(TOPIC, "a"), log.reader(TOPIC, "b")
    await first.commit((await read(first, 5))[-1].position)
    assert values(await read(second, 5)) == [1, 2, 3, 4, 5]


async def test_lag_backlog_and_settled_follow_the_commits(log: KafkaLog) -> None:
    reader = log.reader(TOPIC, "a")
    assert await log.settled(TOPIC, "a", 5)
    await log.append(records(1, 10))
    assert await log.backlog(TOPIC, "a") == 10
    committed = await log.committed(TOPIC, "a")
    assert not await log.settled(TOPIC, "a", 0.2)
    found = await read(reader, 10)
    assert (await reader.lag()).records == 10
    waiting = asyncio.create_task(log.settled(TOPIC, "a", 30))
    await reader.commit(found[-1].position)
    assert await waiting
    assert (await reader.lag()).records == 0
    await log.append(records(11, 12))
    assert await log.backlog(TOPIC, "a") >= 2, "what was appended here counts at once"
    async with asyncio.timeout(5):
        while await log.committed(TOPIC, "a") != committed + 10:  # as of a moment ago
            await asyncio.sleep(0.05)


async def test_who_takes_a_group_over_knows_how_far_it_is(opener: Opener) -> None:
    first = opener()
    await first.append(records(1, 60))
    reader = first.reader(TOPIC, "a")
    found = await read(reader, 60)
    await reader.commit(found[-1].position)
    await reader.close()
    second = opener().reader(TOPIC, "a")
    async with asyncio.timeout(30):
        while len(second._owned) < 3:
            assert not await second.read(100, 0.2)
    assert (await second.lag()).records == 0


async def test_any_bytes_come_back_as_they_were(log: KafkaLog) -> None:
    odd = [b"\x00\xff\n", b"x" * 300_000, "ünï".encode()]
    await log.append([Record(TOPIC, "kéy\n", value) for value in odd])
    found = await read(log.reader(TOPIC, "a"), 3)
    assert [(one.key, one.value) for one in found] == [("kéy\n", value) for value in odd]


async def test_a_second_member_takes_its_share_and_gives_it_back(opener: Opener) -> None:
    one, two = opener(), opener()
    await one.append(records(1, 60))
    first = one.reader(TOPIC, "a")
    found = await read(first, 60)
    await first.commit(found[-1].position)
    second = two.reader(TOPIC, "a")
    seen: dict[str, list[int]] = {"first": [], "second": []}

    async def follow(name: str, reader: KafkaReader) -> None:
        while True:
            some = await reader.read(100, 0.2)
            seen[name] += [int(record.value) for record in some]
            if some:
                await reader.commit(some[-1].position)

    async def until(wanted: set[int]) -> None:
        async with asyncio.timeout(30):
            while set(seen["first"]) | set(seen["second"]) < wanted:
                await asyncio.sleep(0.02)

    following = [asyncio.create_task(follow("first", first)), asyncio.create_task(follow("second", second))]
    async with asyncio.timeout(30):
        while len(first._owned) == 3 or not second._owned:
            await asyncio.sleep(0.02)
    await one.append(records(61, 160))
    await until(set(range(61, 161)))
    assert seen["first"]
    assert seen["second"]
    assert len(seen["first"]) + len(seen["second"]) == 100, "each record once"
    following[1].cancel()
    await asyncio.gather(following[1], return_exceptions=True)
    await second.close()
    await one.append(records(161, 260))
    await until(set(range(61, 261)))
    following[0].cancel()
    await asyncio.gather(following[0], return_exceptions=True)


async def test_the_lanes_of_a_process_share_the_keys_between_them(log: KafkaLog) -> None:
    lanes = [log.reader(TOPIC, "a", Share(lane, 2)) for lane in range(2)]
    seen: list[list[Stored]] = [[] for _ in lanes]

    async def follow(lane: int) -> None:
        while True:
            some = await lanes[lane].read(100, 0.2)
            seen[lane] += some
            if some:
                await lanes[lane].commit(some[-1].position)

    following = [asyncio.create_task(follow(lane)) for lane in range(len(lanes))]
    async with asyncio.timeout(30):
        while not all(reader._owned for reader in lanes) or sum(len(reader._owned) for reader in lanes) < 3:
            await asyncio.sleep(0.02)
        await log.append([Record(TOPIC, f"key-{n % 20}", b"%d" % n) for n in range(200)])
        while sum(map(len, seen)) < 200:
            await asyncio.sleep(0.02)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    assert values([one for some in seen for one in some]) == list(range(200)), "each record once"
    keys = [{one.key for one in some} for some in seen]
    assert all(keys)
    assert not set.intersection(*keys), "what is of one key stays in one lane, in order"


async def test_a_commit_after_the_partition_was_taken_leaves_it_to_the_new_owner(opener: Opener) -> None:
    one, two = opener(), opener()
    await one.append(records(1, 30))
    first = one.reader(TOPIC, "a")
    found = await read(first, 30)
    second = two.reader(TOPIC, "a")
    again: list[Stored] = []
    async with asyncio.timeout(30):
        while not again:
            assert await first.read(10, 0.1) == []
            again += await second.read(1_000, 0.2)
    await first.commit(found[-1].position)
    taken = {one.position for one in again}
    assert taken < {one.position for one in found}
    await second.commit(again[0].position)
    partition = again[0].position % kafka_reader.PARTITIONS
    committed = await one.positions(TOPIC, "a")
    assert committed[partition] == again[0].position // kafka_reader.PARTITIONS + 1


async def test_trim_forgets_only_what_is_old_and_read_by_all_who_must(log: KafkaLog) -> None:
    await log.append(records(1, 30))
    assert await log.trim(FUTURE) == 0, "nobody has read them"
    feed = log.reader(TOPIC, "feed")
    found = await read(feed, 30)
    await feed.commit(found[-1].position)
    assert await log.trim(PAST) == 0, "they are not old"
    assert await log.trim(FUTURE) == 30
    assert await log.trim(FUTURE) == 0
    await log.append(records(31, 31))
    assert values(await read(feed, 1)) == [31]


async def test_a_broker_that_is_away_is_an_answer() -> None:
    log = KafkaLog("127.0.0.1:9")
    try:
        for call in (log.ping, lambda: log.backlog(TOPIC, "a"), log.make_topics):
            with pytest.raises(Unavailable):
                await call()
    finally:
        await log.close()


async def test_the_evidence_is_every_record_with_its_number(opener: Opener) -> None:
    log = opener()
    await log.append(records(1, 25))
    reader = log.reader(TOPIC, "feed")
    await reader.commit((await read(reader, 25))[-1].position)
    evidence = KafkaEvidence(log, log._brokers, log._prefix)
    found = [one async for page in evidence.log(TOPIC) for one in page]
    assert sorted(int(one.record.value) for one in found) == list(range(1, 26))
    by_partition = {n: [one.number for one in found if one.partition == n] for n in range(3)}
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_partition.values())
    committed = await evidence.committed(TOPIC, "feed")
    assert committed == {n: len(numbers) for n, numbers in by_partition.items() if numbers}


async def test_what_is_begun_is_on_the_log_when_its_future_says_so(log: KafkaLog) -> None:
    reader = log.reader(TOPIC, "a")
    assert log.backlog_now(TOPIC, "a") is None  # nobody has asked yet
    assert await log.backlog(TOPIC, "a") == 0
    async with asyncio.timeout(10):
        await asyncio.gather(*(log.begin([one]) for one in records(1, 5, "key")))
    known = log.backlog_now(TOPIC, "a")
    assert known is not None
    assert known >= 5
    assert [one.value for one in await read(reader, 5)] == [b"%d" % n for n in range(1, 6)]


def test_between_two_looks_a_group_is_taken_to_go_on_at_its_pace() -> None:
    backlog = Backlog()
    backlog.appended(10)
    assert backlog.estimate(0.0) == 10, "nobody has looked"
    backlog.looks()
    backlog.looked(100, 1_000, 1.0)
    backlog.appended(50)
    assert backlog.estimate(9.0) == 150, "one look shows no pace"
    backlog.looks()
    backlog.looked(900, 2_000, 2.0)  # a thousand in a second
    backlog.appended(50)
    assert [backlog.estimate(at_s) for at_s in (2.0, 2.1, 2.5, 99.0)] == [950, 850, 450, 450]
    assert backlog.records == 950, "what is not known to be done counts where one more matters"
    backlog.looks()
    backlog.looked(700, 2_000, 2.5)  # nothing in half a second: half the pace
    assert backlog.estimate(2.6) == 650
    backlog.looks()
    backlog.looked(0, 1_500, 4.0)  # the topic was made anew
    assert backlog.estimate(4.5) == 0


def test_what_is_appended_while_the_broker_is_asked_counts() -> None:
    backlog = Backlog()
    backlog.looks()
    backlog.appended(1)
    backlog.looked(0, 1_000, 1.0)  # of ends from before
    assert backlog.records == 1
    backlog.looks()
    backlog.looked(1, 1_000, 2.0)
    assert backlog.records == 1

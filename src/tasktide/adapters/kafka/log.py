"""The log on Kafka: topics of many partitions, a record on the partition of its key."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from tasktide.adapters.kafka.backlog import Backlog
from tasktide.adapters.kafka.positions import Positions
from tasktide.adapters.kafka.producer import ENGINE, MESSAGE_BYTES, Appender
from tasktide.adapters.kafka.reader import KafkaReader
from tasktide.domain.errors import Unavailable
from tasktide.domain.events import NOTIFICATION_EVENTS, READERS
from tasktide.domain.times import Timestamp, epoch_ms
from tasktide.ports.log import WHOLE, Record, Share

T = TypeVar("T")

ASK_S = 5.0
LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
# How often it is looked how far a group is, while somebody waits for it, and for those who ask on every request.
LOOK_S = 0.02
REFRESH_S = 0.2
# A batch waits for the store, for Redis and for its commit, one after the other; two that take turns fill the gaps.
LANES = {NOTIFICATION_EVENTS: 2}
# A backlog nobody has asked for in so long is not looked at any more.
WANTED_S = 10.0


class KafkaLog:
    """`ports.log.Log`. `prefix` is put before the names of topics and groups."""

    def __init__(self, brokers: str, prefix: str = "", *, partitions: int = 6, replication: int = 1) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._partitions = partitions
        self._replication = replication
        self._appender = Appender(brokers, prefix)
        self._admin = AdminClient(
            {
                "bootstrap.servers": brokers,
                "client.id": "tasktide-admin",
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
            }
        )
        self._readers: list[KafkaReader] = []
        self._counts: dict[str, int] = {}
        self._positions: dict[tuple[str, str], Positions] = {}
        self._backlogs: dict[tuple[str, str], Backlog] = {}
        self._watchers: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def make_topics(self) -> None:
        """Make the topics that are not there yet. Records stay until `trim` takes them, whatever their age."""
        wanted = [
            NewTopic(
                self._prefix + topic,
                num_partitions=self._partitions,
                replication_factor=self._replication,
                config={"retention.ms": "-1", "max.message.bytes": str(MESSAGE_BYTES)},
            )
            for topic in READERS
        ]
        for future in self._admin.create_topics(wanted, operation_timeout=ASK_S, request_timeout=ASK_S).values():
            try:
                await _asked(future)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                raise Unavailable.since(ENGINE, "The topics cannot be made.", error) from error
        for topic in READERS:
            await self._led(topic)

    async def append(self, records: Sequence[Record]) -> None:
        """See the port."""
        if records:
            await self.begin(records)

    def begin(self, records: Sequence[Record]) -> "asyncio.Future[None]":
        """See the port."""
        future = self._appender.begin(records)

        def ended(appended: "asyncio.Future[None]") -> None:
            if appended.cancelled() or appended.exception() is not None:
                return
            for (topic, _), backlog in self._backlogs.items():
                backlog.appended(sum(record.topic == topic for record in records))

        future.add_done_callback(ended)
        return future

    def reader(self, topic: str, group: str, share: Share = WHOLE) -> KafkaReader:  # noqa: ARG002 - the port's
        """See the port; the broker deals out the shares."""
        reader = KafkaReader(self._brokers, self._prefix, topic, group)
        self._readers.append(reader)
        return reader

    def lanes(self, topic: str) -> int:
        """See the port."""
        return LANES.get(topic, 1)

    async def settled(self, topic: str, group: str, timeout_s: float) -> bool:
        """See the port."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                ends = await self._offsets(topic, LATEST)
                while await self._behind(topic, group, ends):  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(LOOK_S)
                return True
        return False

    async def backlog(self, topic: str, group: str) -> int:
        """See the port; as of a moment ago, with what was appended here since."""
        return (await self._asked_for(topic, group)).records

    def backlog_now(self, topic: str, group: str) -> int | None:
        """See the port; None too while nobody has asked for it, or the engine cannot say."""
        found = self._backlogs.get((topic, group))
        if found is None or not found.known.is_set() or found.failure is not None:
            return None
        found.asked_at = time.monotonic()
        return found.estimate(found.asked_at)

    async def committed(self, topic: str, group: str) -> int:
        """See the port; as of a moment ago."""
        return (await self._asked_for(topic, group)).committed

    async def _asked_for(self, topic: str, group: str) -> Backlog:
        key = topic, group
        found = self._backlogs.setdefault(key, Backlog())
        found.asked_at = time.monotonic()
        if key not in self._watchers:
            self._watchers[key] = asyncio.create_task(self._watch(topic, group, found), name="kafka-backlog")
        if not found.known.is_set():
            await found.known.wait()
        if found.failure is not None:
            raise found.failure
        return found

    async def trim(self, before: Timestamp) -> int:
        """See the port; records, not batches."""
        trimmed = 0
        for topic, groups in READERS.items():
            starts = await self._offsets(topic, EARLIEST)
            # The first record that is young enough to stay; the end when there is none.
            young = await self._offsets(topic, OffsetSpec.for_timestamp(epoch_ms(before)))
            ends = await self._offsets(topic, LATEST)
            limits = {n: young[n] if young[n] >= 0 else ends[n] for n in starts}
            for group in groups:
                committed = await self.positions(topic, group)
                limits = {n: min(limit, committed.get(n, 0)) for n, limit in limits.items()}
            gone = [TopicPartition(self._prefix + topic, n, limit) for n, limit in limits.items() if limit > starts[n]]
            if gone:
                for future in self._admin.delete_records(gone, request_timeout=ASK_S).values():
                    await self._tried(_asked(future))
                trimmed += sum(one.offset - starts[one.partition] for one in gone)
        return trimmed

    async def extent(self, topic: str) -> tuple[dict[int, int], dict[int, int]]:
        """The first offset of every partition, and the one behind the last."""
        return await self._offsets(topic, EARLIEST), await self._offsets(topic, LATEST)

    async def ping(self) -> None:
        """See the port."""
        await self._tried(asyncio.to_thread(self._admin.list_topics, timeout=ASK_S))

    async def close(self) -> None:
        """Leave all groups and finish what is under way."""
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*(reader.close() for reader in self._readers))
        await asyncio.gather(*(positions.close() for positions in self._positions.values()))
        await self._appender.close()

    async def _led(self, topic: str) -> None:
        """Return when every partition has a leader: one that was just made has none for a moment."""
        await patiently(lambda: self._offsets(topic, LATEST), ASK_S)

    async def _watch(self, topic: str, group: str, found: Backlog) -> None:
        try:
            while time.monotonic() - found.asked_at < WANTED_S:
                try:
                    found.looks()
                    ends = await self._offsets(topic, LATEST)
                    records = await self._behind(topic, group, ends)
                    # What there is but for what is not committed.
                    found.looked(records, sum(ends.values()) - records, time.monotonic())
                    found.failure = None
                except Unavailable as away:
                    found.failure = away
                except Exception as error:  # noqa: BLE001 - whatever it is, those who ask must not wait for ever
                    found.failure = Unavailable.since(ENGINE, "Kafka does not answer.", error)
                found.known.set()
                await asyncio.sleep(REFRESH_S)
        finally:
            found.known.clear()
            self._watchers.pop((topic, group), None)

    async def _behind(self, topic: str, group: str, ends: dict[int, int]) -> int:
        committed = await self.positions(topic, group)
        if len(committed) < len(ends):  # never committed: it begins at the start
            starts = await self._offsets(topic, EARLIEST)
            committed = starts | committed
        return sum(max(0, end - committed[n]) for n, end in ends.items())

    async def positions(self, topic: str, group: str) -> dict[int, int]:
        """The next offset of every partition that a group has committed to."""
        key = topic, group
        if key not in self._positions:
            self._positions[key] = Positions(self._brokers, self._prefix, topic, group)
        return await self._positions[key].of(range(await self._count(topic)), ASK_S)

    async def _count(self, topic: str) -> int:
        """Of partitions; more are not made while we run."""
        if topic not in self._counts:
            name = self._prefix + topic
            metadata = await self._tried(asyncio.to_thread(self._admin.list_topics, name, timeout=ASK_S))
            found = metadata.topics.get(name)
            if found is None or found.error is not None or not found.partitions:
                raise Unavailable(ENGINE, f"There is no topic {name}.")
            self._counts[topic] = len(found.partitions)
        return self._counts[topic]

    async def _offsets(self, topic: str, where: Any) -> dict[int, int]:
        """An offset of every partition."""
        name = self._prefix + topic
        wanted = {TopicPartition(name, n): where for n in range(await self._count(topic))}
        try:
            found = self._admin.list_offsets(wanted, request_timeout=ASK_S)
        except KafkaException as error:
            raise Unavailable.since(ENGINE, "Kafka does not answer.", error) from error
        return {one.partition: (await self._tried(_asked(future))).offset for one, future in found.items()}

    async def _tried(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except KafkaException as error:
            raise Unavailable.since(ENGINE, "Kafka does not answer.", error) from error


async def patiently(ask: Callable[[], Awaitable[T]], within_s: float) -> T:
    """What it gives, asked again while the engine cannot say, for so long at most."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await ask()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(LOOK_S)


async def _asked(future: "Future[T]") -> T:
    """What an administrative request gives; its future is settled on a thread of the client."""
    return await asyncio.wrap_future(future)

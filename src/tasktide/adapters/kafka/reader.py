"""One group's way through one topic: what was read in which order, and what of it may be committed."""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tasktide.adapters.kafka.producer import ENGINE
from tasktide.domain.errors import Unavailable
from tasktide.ports.log import Lag, Stored

# Positions name a record for good: its offset and, in the lowest bits, its partition.
PARTITIONS = 1_024
# A member that is not heard of for so long has died; its partitions go to the others.
SESSION_MS = 6_000
# A reader that has not read for so long (its store is away, its waiting room full) says that it is alive.
SILENT_S = 60.0
# The client does one thing at a time: a commit waits until a look for records is over, so each look is short.
LOOK_S = 0.02
# A batch costs a look, a commit and statements on every shard: single submits 2,900/s with 15 ms, 3,680/s with 40 ms.
LINGER_S = 0.04
# At 500 records a second readers that never rest take two or three at a time, and fill the cores with batches.
REST_S = 0.012
MOST = 2_000
# A commit is a record of its own for the broker, and reading waits for it: one for a few records is put off so long,
# one for as many as are worth it is not.
COMMIT_EVERY_S, WORTH_IT = 0.05, 100
# How long the broker is asked how far a group is.
ASK_S = 1.0
# The group has moved on without us: what we wanted to commit is read again by somebody, which is harmless.
_OVERTAKEN = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._NO_OFFSET,  # noqa: SLF001 - the client's own name
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001
    KafkaError._STATE,  # noqa: SLF001
}


class _Delivered(NamedTuple):
    """A record that was read and is not committed; `turn` tells which assignment of its partition it belongs to."""

    position: int
    partition: int
    offset: int
    turn: int
    appended_ms: int


class KafkaReader:
    """`ports.log.Reader`. Its client lives on a thread of its own."""

    linger_s, rest_s, most = LINGER_S, REST_S, MOST

    def __init__(self, brokers: str, prefix: str, topic: str, group: str) -> None:
        self._topic = prefix + topic
        self._logger = structlog.get_logger(ENGINE)
        self._delivered: deque[_Delivered] = deque()
        self._turns: defaultdict[int, int] = defaultdict(int)
        self._owned: set[int] = set()
        self._committed: dict[int, int] = {}
        # Records that were fetched and not given out: the next read begins with them.
        self._kept: list[Message] = []
        self._commits: deque[tuple[dict[int, int], Future[None]]] = deque()
        self._commit_at = 0.0
        self._read_at = time.monotonic()
        self._keeper: asyncio.Task[None] | None = None
        self._is_paused = False
        self._is_closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{group}")
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "client.id": f"tasktide-{group}",
                "group.id": group_id(prefix, topic, group),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 3,
                # A request that waits for a broker that is away holds up this reader, a commit first of all: the
                # client's own limit is a minute.
                "socket.timeout.ms": SESSION_MS,
                "fetch.wait.max.ms": 500,
                "fetch.queue.backoff.ms": 20,
                "queued.max.messages.kbytes": 32_768,
                "reconnect.backoff.max.ms": 1_000,
                "topic.metadata.refresh.interval.ms": 10_000,
                "log_level": 0,
            }
        )
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    async def read(self, limit: int, wait_s: float) -> Sequence[Stored]:
        """See the port."""
        loop = asyncio.get_running_loop()
        if self._keeper is None:
            self._keeper = loop.create_task(self._stay_alive(), name="kafka-keeper")
        messages = await loop.run_in_executor(self._thread, self._consume, limit, wait_s)
        found: list[Stored] = []
        for message in messages:
            partition, offset = message.partition() or 0, message.offset() or 0
            found.append(stored(message))
            entry = _Delivered(found[-1].position, partition, offset, self._turns[partition], message.timestamp()[1])
            self._delivered.append(entry)
        return found

    async def commit(self, position: int) -> None:
        """See the port."""
        done: list[_Delivered] = []
        while self._delivered:
            done.append(self._delivered.popleft())
            if done[-1].position == position:
                break
        # Of a partition that was taken from us in the meantime, another member decides.
        offsets = {one.partition: one.offset + 1 for one in done if one.turn == self._turns[one.partition]}
        if not offsets:
            return
        try:
            done_there: Future[None] = Future()
            self._commits.append((offsets, done_there))
            waiting = asyncio.wrap_future(done_there)
            if len(done) >= WORTH_IT:
                self._commit_at = 0.0
            elif (rest_s := self._commit_at - time.monotonic()) > 0:
                # A hand-over of partitions, or the end, may come first and makes it.
                await asyncio.wait([waiting], timeout=rest_s)
            # If a read is under way, it does it between two looks; else there is nothing to wait for.
            self._thread.submit(self._serve_commits)
            await waiting
        except BaseException:
            self._delivered.extendleft(reversed(done))  # to be committed again
            raise
        self._committed |= offsets

    async def lag(self) -> Lag:
        """See the port; of the partitions that are ours, as far as the broker has told us."""
        if self._owned - self._committed.keys():
            await asyncio.get_running_loop().run_in_executor(self._thread, self._learn_committed)
        records = 0
        for partition in list(self._owned):
            with contextlib.suppress(KafkaException):
                low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
                records += max(0, high - max(self._committed.get(partition, low), low))
        age_s = time.time() - self._delivered[0].appended_ms / 1_000 if self._delivered else 0.0
        return Lag(records, max(0.0, age_s) if records else 0.0)

    async def close(self) -> None:
        """Leave the group; twice is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._keeper is not None:
            self._keeper.cancel()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._serve_commits)
        await loop.run_in_executor(self._thread, self._consumer.close)
        self._thread.shutdown(wait=False)

    # --- On the reader's thread ----------------------------------------------------------------------------------

    def _consume(self, limit: int, wait_s: float) -> list[Message]:
        if self._is_closed:
            return []
        self._read_at = time.monotonic()
        if self._is_paused:
            self._consumer.resume(self._consumer.assignment())
            self._is_paused = False
        try:
            deadline = time.monotonic() + wait_s
            messages: list[Message] = []
            messages, self._kept = self._kept, messages
            while not messages and not self._is_closed:
                self._serve_commits(self._commit_at)
                left_s = deadline - time.monotonic()
                # Asked for many at once, it would wait the whole time for the last of them.
                messages = self._consumer.consume(1, max(0.0, min(LOOK_S, left_s)))
                if left_s <= LOOK_S:
                    break
            if messages and len(messages) < limit:
                self._kept = messages  # should the next look fail
                messages = messages + self._consumer.consume(limit - len(messages), 0)
                self._kept = []
        except (KafkaException, RuntimeError) as error:
            raise Unavailable.since(ENGINE, "The log cannot be read.", error) from error
        # A look may begin with handing partitions over: what an earlier one gave of them is another member's now.
        messages = [one for one in messages if one.error() is not None or one.partition() in self._owned]
        problems = [problem for message in messages if (problem := message.error()) is not None]
        if not problems:
            return messages
        good = [message for message in messages if message.error() is None]
        for problem in problems:
            if problem.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                self._kept = good
                raise Unavailable(ENGINE, f"There is no topic {self._topic}.")
            self._logger.warning("reading", topic=self._topic, problem=problem.str())
        return good

    def _serve_commits(self, not_before: float = 0.0) -> None:
        while self._commits and time.monotonic() >= not_before:
            offsets, done = self._commits.popleft()
            if not done.set_running_or_notify_cancel():
                continue  # whoever wanted it has gone
            self._commit_at = time.monotonic() + COMMIT_EVERY_S
            try:
                self._commit(offsets)
            except Exception as error:  # noqa: BLE001 - whoever waits for it is told
                done.set_exception(error)
            else:
                done.set_result(None)

    def _commit(self, offsets: dict[int, int]) -> None:
        wanted = [TopicPartition(self._topic, one, offset) for one, offset in offsets.items() if one in self._owned]
        if not wanted:
            return
        try:
            committed = self._consumer.commit(offsets=wanted, asynchronous=False)
            failed: Any = next((one.error for one in committed or () if one.error is not None), None)
        except KafkaException as error:
            failed = error.args[0]
        except RuntimeError:  # closed
            return
        if failed is None:
            return
        if failed.code() in _OVERTAKEN:
            self._logger.info("a commit came too late", topic=self._topic, reason=failed.str())
            return
        raise Unavailable(ENGINE, "The log does not take commits.", said=failed.str())

    def _learn_committed(self) -> None:
        """How far the group is on partitions that others have read before us."""
        unknown = [TopicPartition(self._topic, one) for one in self._owned - self._committed.keys()]
        with contextlib.suppress(KafkaException, RuntimeError):
            found = self._consumer.committed(unknown, timeout=ASK_S)
            # Where nobody has committed yet, its offset is negative.
            self._committed |= {one.partition: max(0, one.offset) for one in found if one.error is None}

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._is_paused:
            consumer.incremental_assign(partitions)
            consumer.pause(partitions)
        for one in partitions:
            self._turns[one.partition] += 1
            self._committed.pop(one.partition, None)
        self._owned |= {one.partition for one in partitions}

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Hand over, once what was handled is committed."""
        self._serve_commits()
        self._lost(consumer, partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owned -= {one.partition for one in partitions}
        for one in partitions:
            self._turns[one.partition] += 1

    def _touch(self) -> None:
        """Hold the group's membership without reading on."""
        if time.monotonic() - self._read_at < SILENT_S or self._is_closed:
            return
        if not self._is_paused:
            self._consumer.pause(self._consumer.assignment())
            self._is_paused = True
        message = self._consumer.poll(0)
        if message is not None:
            self._kept.append(message)

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(SILENT_S / 2)
            with contextlib.suppress(KafkaException, RuntimeError):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._touch)


def stored(message: Message) -> Stored:
    """A record as the client gives it."""
    partition, offset = message.partition() or 0, message.offset() or 0
    key = message.key() or b""
    return Stored(offset * PARTITIONS + partition, key.decode("utf-8", "replace"), message.value() or b"")


def group_id(prefix: str, topic: str, group: str) -> str:
    """A group reads one topic: members with different wishes would disturb each other."""
    return f"{prefix}{topic}.{group}"

"""How far a group is, asked by somebody who does not belong to it."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tasktide.adapters.kafka.producer import ENGINE
from tasktide.adapters.kafka.reader import group_id
from tasktide.domain.errors import Unavailable

CLOSE_S = 1.0


class Positions:
    """What a group has committed of a topic. Its client never joins the group, and lives on a thread of its own.

    The administrative client could be asked as well, but for its crash: it ends the process when the broker's
    coordinator has just begun (librdkafka, `ListConsumerGroupOffsets` answered by NOT_COORDINATOR).
    """

    def __init__(self, brokers: str, prefix: str, topic: str, group: str) -> None:
        self._topic = prefix + topic
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-positions-{group}")
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "client.id": f"tasktide-positions-{group}",
                "group.id": group_id(prefix, topic, group),
                "enable.auto.commit": False,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
            }
        )

    async def of(self, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        """The next offset of each partition that was ever committed to; Unavailable when there is no answer."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, partitions, timeout_s)

    async def close(self) -> None:
        """Hang up. A question that a broker does not answer is not waited for: nothing hangs on it."""
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._consumer.close)
        await asyncio.wait([closing], timeout=CLOSE_S)
        self._thread.shutdown(wait=False)

    def _ask(self, partitions: Sequence[int], timeout_s: float) -> dict[int, int]:
        try:
            found = self._consumer.committed([TopicPartition(self._topic, n) for n in partitions], timeout_s)
        except (KafkaException, RuntimeError) as error:
            raise Unavailable.since(ENGINE, "Kafka does not answer.", error) from error
        failed = next((one.error for one in found if one.error is not None), None)
        if failed is not None:
            raise Unavailable(ENGINE, "Kafka does not answer.", said=failed.str())
        return {one.partition: one.offset for one in found if one.offset >= 0}

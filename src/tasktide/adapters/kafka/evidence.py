"""The evidence on Kafka: every record of a topic, read without a group."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from tasktide.adapters.kafka.log import KafkaLog, patiently
from tasktide.adapters.kafka.producer import ENGINE
from tasktide.adapters.kafka.reader import stored
from tasktide.domain.errors import Unavailable
from tasktide.ports.evidence import KeptRecord

PAGE = 5_000
WAIT_S = 1.0
# A partition that says nothing for so many waits, though it should, is given up.
PATIENCE = 15


class KafkaEvidence:
    """`ports.evidence.LogEvidence`, up to the ends that the topics had at the call."""

    def __init__(self, log: KafkaLog, brokers: str, prefix: str) -> None:
        self._log = log
        self._brokers = brokers
        self._prefix = prefix

    async def committed(self, topic: str, group: str) -> Mapping[int, int]:
        """See the port. A broker that has just begun does not know it for a moment."""
        return await patiently(lambda: self._log.positions(topic, group), PATIENCE * WAIT_S)

    async def log(self, topic: str) -> AsyncIterator[Sequence[KeptRecord]]:
        """See the port."""
        starts, ends = await self._log.extent(topic)
        left = {n: ends[n] - starts[n] for n in ends if ends[n] > starts[n]}
        consumer = Consumer(
            {
                "bootstrap.servers": self._brokers,
                "group.id": f"{self._prefix}verify",  # never joined
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        try:
            consumer.assign([TopicPartition(self._prefix + topic, n, starts[n]) for n in left])
            silent = 0
            while any(count > 0 for count in left.values()):
                messages = await asyncio.to_thread(consumer.consume, PAGE, WAIT_S)
                page = [_kept(one) for one in messages if one.error() is None]
                silent = 0 if page else silent + 1
                if silent > PATIENCE:
                    raise Unavailable(ENGINE, f"The topic {topic} cannot be read to its end.")
                for one in page:
                    left[one.partition] -= 1
                yield page
        except KafkaException as error:
            raise Unavailable.since(ENGINE, "The log cannot be read.", error) from error
        finally:
            await asyncio.to_thread(consumer.close)


def _kept(message: Message) -> KeptRecord:
    return KeptRecord(message.partition() or 0, (message.offset() or 0) + 1, stored(message))

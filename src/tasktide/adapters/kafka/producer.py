"""The producer: its callbacks stay on a thread of its own, which wakes the event loop once for many of them."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from tasktide.domain.errors import Unavailable
from tasktide.ports.log import RECORD_BYTES, Record

ENGINE = "kafka"
# A record's value, with its key and what the protocol adds.
MESSAGE_BYTES = RECORD_BYTES + 1_000_000
# How long a record may take to be acknowledged before its append has failed.
DELIVERY_S = 15.0
POLL_S = 0.1
# How long a process that ends waits for what it has not sent: nobody has been told that it was accepted.
FLUSH_S = 3.0


class _Append:
    """One call's records: how many are not acknowledged yet, and what went wrong with one of them."""

    __slots__ = ("error", "future", "left")

    def __init__(self, future: "asyncio.Future[None]", left: int) -> None:
        self.future = future
        self.left = left
        self.error: KafkaError | None = None


class Appender:
    """Idempotent, acknowledged by all replicas. Made on the event loop that uses it."""

    def __init__(self, brokers: str, prefix: str) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._logger = structlog.get_logger(ENGINE)
        self._ended: list[_Append] = []
        self._closed = False
        self._retired: list[Producer] = []
        self._producer = self._make()
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._thread.start()

    def begin(self, records: Sequence[Record]) -> "asyncio.Future[None]":
        """What tells when all are acknowledged; Unavailable when one was not, though others may be on the log then."""
        future: asyncio.Future[None] = self._loop.create_future()
        one = _Append(future, len(records))

        def delivered(error: KafkaError | None, _message: Any) -> None:
            one.left -= 1
            if error is not None:
                one.error = error
            if not one.left:
                self._ended.append(one)

        produce = self._producer.produce
        try:
            for record in records:
                topic = self._prefix + record.topic
                produce(topic, record.value, record.key.encode(), on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            raise Unavailable.since(ENGINE, "The log cannot take more at present.", error) from error
        return future  # the client reports every record within its delivery timeout, whatever the broker does

    async def close(self) -> None:
        """Wait for what is under way, a while; twice is fine."""
        if self._closed:
            return
        await asyncio.to_thread(self._producer.flush, FLUSH_S)
        self._closed = True
        await asyncio.to_thread(self._thread.join)

    def _make(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._brokers,
                "client.id": "tasktide",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "batch.size": 1_000_000,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 131_072,
                "delivery.timeout.ms": round(DELIVERY_S * 1_000),
                "request.timeout.ms": 5_000,
                "reconnect.backoff.max.ms": 1_000,
                "message.max.bytes": MESSAGE_BYTES,
                # As other clients partition, so that they may produce to our topics too.
                "partitioner": "murmur2_random",
                "error_cb": self._failed,
                "log_level": 0,
            }
        )

    def _poll(self) -> None:
        while not self._closed:
            try:
                self._producer.poll(POLL_S)
                for retired in self._retired:
                    retired.poll(0)
            except Exception:
                # Without this thread no append would ever be answered.
                self._logger.exception("polling the producer")
                time.sleep(POLL_S)
            if self._ended:
                ended, self._ended = self._ended, []
                try:
                    self._loop.call_soon_threadsafe(_settle, ended)
                except RuntimeError:  # the loop is gone: nobody is left to be told
                    return

    def _failed(self, error: KafkaError) -> None:
        if error.fatal() and not self._closed:
            # Its successor begins with a clean state; what it held is reported as failed, by polling it on.
            self._logger.error("the producer is replaced", reason=str(error))
            try:
                successor = self._make()
            except KafkaException:
                self._logger.exception("the producer cannot be replaced")
                return
            self._retired.append(self._producer)
            self._producer.purge()
            self._producer = successor


def _settle(ended: Sequence[_Append]) -> None:
    for one in ended:
        if one.future.done():
            continue
        if one.error is None:
            one.future.set_result(None)
        else:
            one.future.set_exception(Unavailable(ENGINE, "The log did not take it.", said=one.error.str()))

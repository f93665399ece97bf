"""The delivery queue on RabbitMQ, over a store that remembers how each delivery stands.

It carries mail; webhooks, which keep the order of each user, are taken from the store. The queue brings work to whoever
is free, at once, and holds it back until a retry is due; the store decides. So a message that comes twice is dropped,
and one that was lost (before it was published, say) is found by asking the store.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import aio_pika
import msgspec
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustConnection
from aio_pika.exceptions import AMQPError, DeliveryError

from tasktide.domain.deliveries import Delivery
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import NotificationId, UserId
from tasktide.domain.notifications import Channel
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.jobs import Jobs

ENGINE = "rabbitmq"
QUEUE = "task.notifications"
# Retries wait in a queue of the next longer delay, in seconds, which hands them back when it is over.
DELAYS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200)
# Messages that are here and not answered.
PREFETCH = 100
CONNECT_S = 5.0
# How often the store is asked for what the queue did not bring.
SWEEP_S = 15.0
# How long the queue of the dead shows them to those who look there; as letters they are kept until somebody drops them.
DEAD_KEPT_S = 7 * 86_400
_FAILURES = (AMQPError, DeliveryError, OSError, TimeoutError, asyncio.InvalidStateError, RuntimeError)

_decode = msgspec.json.Decoder(Delivery).decode
Key = tuple[NotificationId, Channel]


class RabbitJobs:
    """`ports.jobs.Jobs`. `store` is one as well; `prefix` is put before the names of queues."""

    def __init__(self, url: str, store: Jobs, clock: Clock, prefix: str = "") -> None:
        self._url = url
        self._store = store
        self._clock = clock
        self._queue = prefix + QUEUE
        self._logger = structlog.get_logger(ENGINE)
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None
        self._opening = asyncio.Lock()
        self._is_consuming = False
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        # What was taken and is not done, and until when it is ours.
        self._held: dict[Key, list[tuple[float, AbstractIncomingMessage]]] = {}
        self._swept_at = float("-inf")

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._store.put(deliveries)
        await self._bring(deliveries, self._queue)

    async def take(self, limit: int, lease_s: float, among: Sequence[Delivery] | None = None) -> Sequence[Delivery]:
        """See the port."""
        if among is not None:
            return await self._store.take(limit, lease_s, among)
        with self._translated():
            await self._consume()
        # What the queue has lost is found however much comes through it.
        is_sweep = self._clock.monotonic() - self._swept_at > SWEEP_S
        messages = self._next(limit // 2 if is_sweep else limit)
        named = [delivery for message in messages if (delivery := _named(message)) is not None]
        try:
            taken = list(await self._store.take(limit, lease_s, named)) if named else []
        except BaseException:
            for message in messages:  # for the next time
                self._arrived.put_nowait(message)
            raise
        await self._forget_held()
        ours = {one.key for one in taken}
        until = time.monotonic() + lease_s
        for message in messages:
            delivery = _named(message)
            if delivery is not None and delivery.key in ours:
                self._held.setdefault(delivery.key, []).append((until, message))
            else:
                # Done before, not due, or no delivery at all: the store knows what is left to do.
                await self._answer(message)
        if is_sweep:
            self._swept_at = self._clock.monotonic()
            taken += await self._store.take(limit - len(taken), lease_s)
        return taken

    async def waiting_users(self, after: UserId, limit: int) -> Sequence[UserId]:
        """See the port."""
        return await self._store.waiting_users(after, limit)

    async def take_calls(self, user_id: UserId, limit: int, lease_s: float) -> Sequence[Delivery]:
        """See the port."""
        return await self._store.take_calls(user_id, limit, lease_s)

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._store.done(deliveries)
        await self._let_go(deliveries)

    async def retry(self, delivery: Delivery, delay_s: float, error: str) -> None:
        """See the port."""
        await self._store.retry(delivery, delay_s, error)
        wait_s = next((one for one in DELAYS_S if one >= delay_s), DELAYS_S[-1])
        await self._bring([delivery], f"{self._queue}.retry.{wait_s}")
        await self._let_go([delivery])

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._store.give_back(deliveries)
        await self._bring(deliveries, self._queue)
        await self._let_go(deliveries)

    async def bury(self, delivery: Delivery, error: str) -> None:
        """See the port."""
        await self._store.bury(delivery, error)
        with contextlib.suppress(Unavailable):
            await self._publish(delivery, f"{self._queue}.dead", DEAD_KEPT_S)
        await self._let_go([delivery])

    async def revive(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._store.revive(deliveries)
        await self._bring(deliveries, self._queue)

    async def purge(self, before: Timestamp) -> int:
        """See the port."""
        return await self._store.purge(before)

    async def ping(self) -> None:
        """Return when the broker answers; Unavailable when it does not."""
        with self._translated():
            async with asyncio.timeout(CONNECT_S):
                channel = await self._open()
                await channel.get_queue(self._queue, ensure=True)

    async def close(self) -> None:
        """Give back what is not answered; twice is fine."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_FAILURES):
                await connection.close()

    async def _bring(self, deliveries: Sequence[Delivery], queue: str) -> None:
        """Have mail brought to whoever is free; what the queue does not take is found in the store."""
        mail = [one for one in deliveries if one.channel is not Channel.WEBHOOK]
        with contextlib.suppress(Unavailable):
            await asyncio.gather(*(self._publish(one, queue) for one in mail))

    async def _open(self) -> AbstractRobustChannel:
        async with self._opening:
            if self._channel is None:
                if self._connection is None:
                    # From here on it reconnects by itself, and declares again what was declared.
                    self._connection = await aio_pika.connect_robust(self._url, timeout=CONNECT_S)
                channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                assert isinstance(channel, AbstractRobustChannel)  # noqa: S101 - a robust connection gives no other
                await channel.set_qos(prefetch_count=PREFETCH)
                await self._declare(channel)
                self._channel = channel
            if self._connection is not None and not self._connection.connected.is_set():
                raise Unavailable(ENGINE, "RabbitMQ is away.")
            return self._channel

    async def _declare(self, channel: AbstractRobustChannel) -> None:
        quorum = {"x-queue-type": "quorum"}
        await channel.declare_queue(self._queue, durable=True, arguments=quorum)
        await channel.declare_queue(f"{self._queue}.dead", durable=True, arguments=quorum)
        back: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._queue}
        for delay_s in DELAYS_S:
            waits = quorum | back | {"x-message-ttl": delay_s * 1_000, "x-dead-letter-strategy": "at-least-once",
                                     "x-overflow": "reject-publish"}  # fmt: skip
            await channel.declare_queue(f"{self._queue}.retry.{delay_s}", durable=True, arguments=waits)

    async def _consume(self) -> None:
        if self._is_consuming:
            return
        async with asyncio.timeout(CONNECT_S):
            channel = await self._open()
            queue = await channel.get_queue(self._queue)
            await queue.consume(self._arrived.put)
        self._is_consuming = True

    async def _publish(self, delivery: Delivery, queue: str, kept_s: int | None = None) -> None:
        with self._translated():
            async with asyncio.timeout(CONNECT_S):
                channel = await self._open()
                body = msgspec.json.encode(delivery)
                message = aio_pika.Message(
                    body,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    content_type="application/json",
                    message_id=f"{delivery.notification.id}.{delivery.channel}",
                    expiration=kept_s,
                )
                await channel.default_exchange.publish(message, routing_key=queue, mandatory=True)

    def _next(self, limit: int) -> list[AbstractIncomingMessage]:
        messages: list[AbstractIncomingMessage] = []
        while len(messages) < limit and self._arrived.qsize():
            messages.append(self._arrived.get_nowait())
        return messages

    async def _let_go(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            for _, message in self._held.pop(one.key, ()):
                await self._answer(message)

    async def _forget_held(self) -> None:
        """Let go of what came to no end within its lease: the store decides who takes it next."""
        now = time.monotonic()
        for key in [key for key, held in self._held.items() if held[0][0] < now]:
            for _, message in self._held.pop(key):
                await self._answer(message)

    async def _answer(self, message: AbstractIncomingMessage) -> None:
        """Take a message off the queue; over a lost connection it comes again, and is dropped then."""
        with contextlib.suppress(*_FAILURES):
            await message.ack()

    @contextlib.contextmanager
    def _translated(self) -> Any:
        try:
            yield
        except _FAILURES as error:
            raise Unavailable.since(ENGINE, "RabbitMQ is away.", error) from error


def _named(message: AbstractIncomingMessage) -> Delivery | None:
    try:
        return _decode(message.body)
    except msgspec.MsgspecError:
        return None


async def ask(url: str) -> None:
    """Return when a broker answers; Unavailable when it does not."""
    try:
        connection = await aio_pika.connect(url, timeout=CONNECT_S)
        await connection.close()
    except _FAILURES as error:
        raise Unavailable.since(ENGINE, "RabbitMQ is away.", error) from error

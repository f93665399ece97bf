"""Push over Redis: each gateway hears one channel, and says which users it has listeners for."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import structlog
from redis.exceptions import RedisError

from tasktide.adapters.redis.client import ENGINE, MOST, Client, Coalesced, ended
from tasktide.domain.errors import Unavailable
from tasktide.ports.push import LocalPush, Message, Subscription

# Who listens is forgotten after this time, unless it is said again; it is said again every so many looks.
PRESENT_S = 60
SAY_EVERY = 10
# Where it is said, to all, that something could not be published.
LOST = "push:lost"
# How often it is looked whether Redis still knows of us. A listener hears of a loss within that time.
LOOK_S = 1.0
RETRY_S = 0.5
# How long a new listener waits until it is heard of; then it is told of a loss as soon as it is.
HEARD_S = 0.3

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Message]).decode


class RedisSubscription:
    """`ports.push.Subscription` that takes its presence along when it closes."""

    def __init__(self, inner: Subscription, push: "RedisPush", channels: Collection[str]) -> None:
        self._inner = inner
        self._push = push
        self._channels = tuple(channels)

    async def read(self) -> Sequence[Message] | None:
        """See the port."""
        return await self._inner.read()

    def offer(self, message: Message) -> None:
        """See the port."""
        self._inner.offer(message)

    def close(self) -> None:
        """See the port."""
        self._inner.close()
        self._push.forget(self._channels)
        self._channels = ()


class RedisPush:
    """`ports.push.Push` between processes. `local` serves the listeners of this one, at once.

    Redis may lose everything at any moment: then whoever listens is told that something was lost, and asks the
    inbox. While it is away they are told so again and again, so that news still comes, by asking.

    Whoever hears a message takes it that nothing before it is missing. So of what was lost they are told before they
    get the next one: by the publisher, which says so before it publishes again, and by the gateway, which holds back
    what comes while it says anew who listens here.
    """

    def __init__(self, client: Client, local: LocalPush) -> None:
        self._client = client
        self._local = local
        self._gateway = secrets.token_hex(6)
        self._here: Counter[str] = Counter()
        self._say = Coalesced(self._say_all)
        self._logger = structlog.get_logger(ENGINE)
        self._hearing = asyncio.Event()
        self._must_say = False  # who listens here is not known to Redis
        self._is_saying = False  # it is being said; what comes meanwhile is held
        self._held: list[Message] = []
        # How often something could not be published, and how many of these times were made known.
        self._failures = self._confessed = 0
        self._is_heir = True  # nothing of which a listener keeps count was published here yet
        self._tasks = [
            asyncio.create_task(self._hear(), name="redis-push"),
            asyncio.create_task(self._stay(), name="redis-presence"),
        ]
        self._leaving: set[asyncio.Task[Any]] = set()

    async def publish(self, messages: Sequence[Message]) -> None:
        """See the port; while Redis is away, to the listeners of this process alone."""
        if not messages:
            return
        await self._local.publish(messages)
        if self._is_heir and any(one.cursor for one in messages):
            # A publisher before this one may have been killed between a failure and the word of it.
            self._is_heir = False
            self._failures += 1
        try:
            await self._confess()
            for first in range(0, len(messages), MOST):
                some = messages[first : first + MOST]
                keys = [self._presence(one.channel) for one in some]
                packed = [_pack(one) for one in some]
                await self._client.script("publish", keys, [self._gateway, self._client.key("push:"), *packed])
        except Unavailable:
            self._failures += 1

    async def listening(self, channels: Collection[str]) -> frozenset[str]:
        """See the port; while Redis is away, those of this process."""
        here = await self._local.listening(channels)
        others = [channel for channel in channels if channel not in here]
        if not others:
            return here
        try:
            async with self._client.redis.pipeline(transaction=False) as pipeline:
                for channel in others:
                    pipeline.exists(self._presence(channel))
                present = await pipeline.execute()
        except (RedisError, OSError, TimeoutError):
            self._failures += 1
            return here
        return here | {channel for channel, count in zip(others, present, strict=True) if count}

    async def subscribe(self, channels: Collection[str]) -> RedisSubscription:
        """See the port."""
        inner = await self._local.subscribe(channels)
        self._here.update(channels)
        subscription = RedisSubscription(inner, self, channels)
        try:
            # Nothing may be missed from here on: we are heard of, and we hear.
            async with asyncio.timeout(HEARD_S):
                await self._hearing.wait()
                await asyncio.gather(*(self._say(channel) for channel in channels))
        except (Unavailable, TimeoutError):
            self._must_say = True  # and they are told of a loss then
        except BaseException:
            subscription.close()
            raise
        return subscription

    def forget(self, channels: Sequence[str]) -> None:
        """A listener to these has gone."""
        gone = []
        for channel in channels:
            self._here[channel] -= 1
            if self._here[channel] <= 0:
                del self._here[channel]
                gone.append(channel)
        if gone:
            leaving = asyncio.ensure_future(self._leave(gone))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Stop hearing; what we said of ourselves runs out by itself."""
        await ended(*self._tasks)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _confess(self) -> None:
        """What this process could not publish, somebody elsewhere has missed: say so to all, once that is possible."""
        failures = self._failures
        if failures > self._confessed:
            await self._client.call("PUBLISH", self._client.key(LOST), b"")
            self._confessed = max(self._confessed, failures)

    def _presence(self, channel: str) -> str:
        return self._client.key(f"listening:{channel}")

    async def _say_all(self, channels: list[str]) -> Sequence[None]:
        for first in range(0, len(channels), MOST):
            keys = [self._presence(channel) for channel in channels[first : first + MOST]]
            await self._client.script("present", keys, [self._gateway, PRESENT_S])
        return [None] * len(channels)

    async def _leave(self, channels: Sequence[str]) -> None:
        try:
            async with self._client.redis.pipeline(transaction=False) as pipeline:
                for channel in channels:
                    if not self._here[channel]:  # nobody came in the meantime
                        pipeline.srem(self._presence(channel), self._gateway)
                await pipeline.execute()
            # Somebody may have come while it was on its way, and missed what was published before we say so again.
            if back := [channel for channel in channels if self._here[channel]]:
                await self._say_all(back)
                self._local.lose(back)
        except (RedisError, OSError, TimeoutError, Unavailable):
            self._must_say = True  # it may be done all the same, and late

    async def _hear(self) -> None:
        """Take in what other processes publish for our listeners, and again after each break."""
        while True:
            try:
                async with self._client.redis.pubsub(ignore_subscribe_messages=False) as heard:
                    # One channel is ours, one is for word to all that something was lost.
                    await heard.subscribe(self._client.key(f"push:{self._gateway}"), self._client.key(LOST))
                    while True:
                        message = await heard.get_message(timeout=None)
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            self._hearing.set()
                            # What was published before is gone.
                            await self._say_all(list(self._here))
                            self._local.lose_all()
                        elif message["type"] == "message" and message["channel"].decode().endswith(LOST):
                            self._local.lose_all()
                        elif message["type"] == "message":
                            await self._take(_unpack(message["data"]))
            except Exception as error:  # noqa: BLE001 - whatever it is, hearing must go on
                if self._hearing.is_set():
                    self._logger.warning("push is away", reason=str(error))
                self._hearing.clear()
            await asyncio.sleep(RETRY_S)

    async def _take(self, messages: Sequence[Message]) -> None:
        """Pass messages on, unless something before them may be missing."""
        if self._is_saying:
            self._held += messages
        elif self._must_say:
            self._local.lose_all()
        else:
            await self._local.publish(messages)

    async def _say_again(self) -> None:
        """Say who listens here; if Redis did not know, they have missed something until then."""
        self._is_saying, must_say, self._must_say = True, self._must_say, False
        try:
            await self._say_all(list(self._here))
        except BaseException:
            self._must_say = self._must_say or must_say
            raise
        finally:
            if must_say:
                self._local.lose_all()
            held, self._held = self._held, []
            self._is_saying = False
            await self._local.publish(held)

    async def _stay(self) -> None:
        """Say again and again who listens here, and notice when Redis has forgotten it."""
        alive = self._client.key(f"alive:{self._gateway}")
        rounds = 0
        while True:
            await asyncio.sleep(LOOK_S)
            rounds += 1
            try:
                was_known = await self._client.call("SET", alive, 1, "EX", PRESENT_S, "GET")
                self._must_say = self._must_say or was_known is None
                if self._must_say or rounds % SAY_EVERY == 0:
                    await self._say_again()
                await self._confess()
            except Exception as error:
                if not isinstance(error, Unavailable):
                    self._logger.exception("presence")
                self._must_say = True
                self._local.lose_all()

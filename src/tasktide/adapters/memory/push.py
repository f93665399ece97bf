"""Push within this process."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Collection, Sequence

from tasktide.ports.push import Message

# Messages a listener may be behind; then the rest is dropped and it is told to refetch.
BUFFER = 1_000


class MemorySubscription:
    """`ports.push.Subscription`: a bounded buffer. Overflow policy: drop all, announce the loss."""

    def __init__(self, push: "MemoryPush", channels: Collection[str], buffer: int) -> None:
        self._push = push
        self.channels = frozenset(channels)
        self._waiting: deque[Message] = deque()
        self._most = buffer
        self._lost = False
        # One task reads, so one future says what an `asyncio.Event` would, at a third of its cost.
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, message: Message) -> None:
        """Take a message in, or note that it was lost."""
        if len(self._waiting) >= self._most:
            self._waiting.clear()
            self._lost = True
        self._waiting.append(message)
        self._wake()

    async def read(self) -> Sequence[Message] | None:
        """See the port."""
        while not self._waiting and not self._lost:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        messages = list(self._waiting)
        self._waiting.clear()
        if self._lost:
            self._lost = False
            return None
        return messages

    def lose(self) -> None:
        """Note that something was lost."""
        self._waiting.clear()
        self._lost = True
        self._wake()

    def close(self) -> None:
        """See the port."""
        self._push.forget(self)

    def _wake(self) -> None:
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            if not waiter.done():  # the reader may have been cancelled
                waiter.set_result(None)


class MemoryPush:
    """`ports.push.LocalPush` for one process: its gateway and its pipelines share it."""

    def __init__(self, buffer: int = BUFFER) -> None:
        self._buffer = buffer
        self._by_channel: defaultdict[str, set[MemorySubscription]] = defaultdict(set)

    async def publish(self, messages: Sequence[Message]) -> None:
        """See the port."""
        for message in messages:
            for subscription in self._by_channel.get(message.channel, ()):
                subscription.offer(message)

    async def listening(self, channels: Collection[str]) -> frozenset[str]:
        """See the port."""
        return frozenset(channel for channel in channels if channel in self._by_channel)

    async def subscribe(self, channels: Collection[str]) -> MemorySubscription:
        """See the port."""
        subscription = MemorySubscription(self, channels, self._buffer)
        for channel in subscription.channels:
            self._by_channel[channel].add(subscription)
        return subscription

    def lose(self, channels: Collection[str]) -> None:
        """See the port."""
        for subscription in {one for channel in channels for one in self._by_channel.get(channel, ())}:
            subscription.lose()

    def lose_all(self) -> None:
        """See the port."""
        self.lose(list(self._by_channel))

    def forget(self, subscription: MemorySubscription) -> None:
        """Drop a subscription from all its channels."""
        for channel in subscription.channels:
            listeners = self._by_channel.get(channel)
            if listeners is not None:
                listeners.discard(subscription)
                if not listeners:
                    del self._by_channel[channel]

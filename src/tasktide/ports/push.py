"""Push: short messages to whoever listens right now."""

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct


class Message(Struct, frozen=True, gc=False, array_like=True):
    """A message on a channel such as `user:7`; `cursor` orders the messages of one channel (0: unordered)."""

    channel: str
    body: bytes
    cursor: int = 0


class Subscription(Protocol):
    """A listener. Its buffer is bounded; when it overflows, messages are lost and the listener is told."""

    async def read(self) -> Sequence[Message] | None:
        """The messages since the last call, in order, waiting for the first; None: some were lost, refetch."""
        ...

    def offer(self, message: Message) -> None:
        """Put a message in for this listener alone."""
        ...

    def close(self) -> None:
        """Stop listening; twice is fine."""
        ...


class Push(Protocol):
    """Messages reach each current listener at most once, in order per channel. Losses are announced."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages to their listeners; those without a listener vanish. Never waits for a slow listener."""
        ...

    async def listening(self, channels: Collection[str]) -> frozenset[str]:
        """Of these channels, those that somebody listens to: what others get need not be made."""
        ...

    async def subscribe(self, channels: Collection[str]) -> Subscription:
        """Listen to everything that is published after this has returned."""
        ...


class LocalPush(Push, Protocol):
    """Push within one process, which another one may build on."""

    def lose(self, channels: Collection[str]) -> None:
        """Tell who listens to one of these that something was lost."""
        ...

    def lose_all(self) -> None:
        """Tell every listener that something was lost."""
        ...

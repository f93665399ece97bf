"""The cache: snapshots by key. Never the only copy of anything."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol


class Snapshot(NamedTuple):
    """Something at a version, as JSON; an empty body says that it is gone."""

    key: str
    version: int
    body: bytes
    ttl_s: float


class Cache(Protocol):
    """Bounded: the least recently used entries go first. An engine that is away reads as empty."""

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """The bodies that are there and not expired."""
        ...

    async def put(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep the snapshots; one never replaces a newer version of the same key."""
        ...

    async def drop(self, keys: Collection[str]) -> None:
        """Forget keys, whatever their version."""
        ...

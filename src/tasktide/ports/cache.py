"""The cache: snapshots by key. Never the only copy of anything."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Coroutine, Hashable, Sequence
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from tasktide.domain.events import encode
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.tasks import Task

TASK_TTL_S = 600.0
# A copy that was read while its owner changed it is wrong for so long at most.
PREFERENCES_TTL_S = 60.0
# A tag outlives what is kept under it.
TAG_TTL_S = 86_400.0
# What was kept at one moment goes over so large a part of its time, not all at once.
JITTER = 0.1

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_random = Random()  # noqa: S311 - nobody gains by guessing when something is forgotten


class Snapshot(Struct, frozen=True, gc=False):
    """Something at a version, as JSON; an empty body says that it is gone. Kept for `ttl_s` at most, see `spread`."""

    key: str
    version: int
    body: bytes
    ttl_s: float


def task_key(task_id: TaskId) -> str:
    """Where a task is kept, and the channel that tells of its changes."""
    return f"task:{task_id}"


def of_task(task: Task) -> Snapshot:
    """A task as it is kept."""
    return Snapshot(task_key(task.id), task.version, encode(task), TASK_TTL_S)


def of_no_task(task_id: TaskId, version: int) -> Snapshot:
    """A task that was deleted at that version."""
    return Snapshot(task_key(task_id), version, b"", TASK_TTL_S)


def preferences_key(user_id: UserId) -> str:
    """Where what a user wants to hear is kept."""
    return f"user:{user_id}:preferences"


def of_preferences(user_id: UserId, version: int, body: bytes) -> Snapshot:
    """What a user wants to hear, as JSON. A copy of what is stored is version 1; what its owner says is above it."""
    return Snapshot(preferences_key(user_id), version, body, PREFERENCES_TTL_S)


def spread(ttl_s: float) -> float:
    """A time to live with jitter: up to a tenth shorter, so that what came together is not asked for anew together."""
    return ttl_s * (1 - JITTER * _random.random())


class SingleFlight(Generic[K, V]):
    """One loader a key: whoever asks while it is under way waits for what it brings, its error included.

    Only for keys that name a version: who joins a loader may see what was true before they asked.
    """

    def __init__(self) -> None:
        self._loading: dict[K, asyncio.Task[V]] = {}

    async def once(self, key: K, load: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What the loader of a key brings. Who stops waiting stops nobody else's loader."""
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(load())
            loading.add_done_callback(lambda done: self._over(key, done))
        return await asyncio.shield(loading)

    def _over(self, key: K, done: "asyncio.Task[V]") -> None:
        del self._loading[key]
        if not done.cancelled():
            done.exception()  # seen, even when nobody waits any more


class Cache(Protocol):
    """Bounded: the least recently used entries go first. An engine that is away reads as empty."""

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """The bodies that are there and not expired."""
        ...

    async def put(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep the snapshots; one never replaces a newer version of the same key. Others see them when it returns."""
        ...

    def begin_put(self, snapshots: Sequence[Snapshot]) -> "asyncio.Future[None] | None":
        """As `put`, begun now: what to wait for until others see them, None when they do."""
        ...

    async def drop(self, keys: Collection[str]) -> None:
        """Forget keys, whatever their version."""
        ...


class Tag:
    """A word for entries that are forgotten together, by every process that shares the cache.

    Its mark goes into their keys. A mark never comes again once the tag was invalidated, so that who loads something
    at that moment keeps it where nobody looks.
    """

    def __init__(self, cache: Cache, name: str) -> None:
        self._cache = cache
        self._key = f"tag:{name}"
        self._making: SingleFlight[str, str | None] = SingleFlight()

    async def mark(self) -> str | None:
        """What the keys of its entries hold at present; to be asked for before what goes under them is loaded.

        None while the cache is away: nothing can be kept under it.
        """
        return await self._known() or await self._making.once(self._key, self._make)

    async def _make(self) -> str | None:
        await self._cache.put([Snapshot(self._key, 1, secrets.token_hex(8).encode(), TAG_TTL_S)])
        return await self._known()

    async def _known(self) -> str | None:
        body = (await self._cache.get([self._key])).get(self._key)
        return body.decode() if body else None

    async def invalidate(self) -> None:
        """Forget all entries under the tag."""
        await self._cache.drop([self._key])

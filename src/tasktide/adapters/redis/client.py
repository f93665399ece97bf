"""What all uses of Redis share: one client, Unavailable while it is away, and many calls of one tick as one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from tasktide import resources
from tasktide.domain.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")

ENGINE = "redis"
ANSWER_S = 1.0
# After a failure nobody asks for so long, so that every request does not wait for a server that is away.
AWAY_S = 0.5
# Items of one tick in one call.
MOST = 1_000
# How often a task that is to stop is told so.
CANCEL_S = 0.1


class Client:
    """Calls and scripts; what fails is Unavailable."""

    def __init__(self, url: str, prefix: str = "tasktide:") -> None:
        # Callers wait for a connection of the pool, instead of being told that Redis is away.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=32,
            timeout=ANSWER_S,
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            socket_keepalive=True,
            health_check_interval=0,
            retry=Retry(NoBackoff(), 0),
        )
        self.redis: Any = Redis.from_pool(pool)
        self.prefix = prefix
        self._shas: dict[str, str] = {}
        self._away_until = 0.0

    def key(self, name: str) -> str:
        """A key of ours."""
        return self.prefix + name

    async def call(self, *command: Any) -> Any:
        """The answer to one command."""
        return await self._guarded(lambda: self.redis.execute_command(*command))

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """What `lua/<name>.lua` returns."""
        return await self._guarded(lambda: self._evaluate(name, keys, arguments))

    async def ping(self) -> None:
        """Return when it answers; Unavailable when it does not."""
        self._away_until = 0.0
        await self.call("PING")

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()

    async def _evaluate(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        sha = self._shas.get(name)
        if sha is not None:
            try:
                return await self.redis.evalsha(sha, len(keys), *keys, *arguments)
            except NoScriptError:  # it has restarted
                pass
        self._shas[name] = await self.redis.script_load(resources.text(__package__, "lua", f"{name}.lua"))
        return await self.redis.evalsha(self._shas[name], len(keys), *keys, *arguments)

    async def _guarded(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if time.monotonic() < self._away_until:
            raise Unavailable(ENGINE, "Redis is away.")
        try:
            return await call()
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_S
            raise Unavailable.since(ENGINE, "Redis is away.", error) from error


class Coalesced(Generic[T, R]):
    """Turns the items that are asked for within one tick of the event loop into one call."""

    def __init__(self, call: Callable[[list[T]], Awaitable[Sequence[R]]]) -> None:
        self._call = call
        self._pending: list[tuple[T, asyncio.Future[R]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """The result for one item."""
        return await self.begin(item)

    def begin(self, item: T) -> "asyncio.Future[R]":
        """What will have the result for one item."""
        loop = asyncio.get_running_loop()
        if not self._pending:
            loop.call_soon(self._flush)
        future: asyncio.Future[R] = loop.create_future()
        self._pending.append((item, future))
        return future

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for first in range(0, len(pending), MOST):
            running = asyncio.ensure_future(self._run(pending[first : first + MOST]))
            self._running.add(running)
            running.add_done_callback(self._running.discard)

    async def _run(self, pending: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._call([item for item, _ in pending])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            for _, future in pending:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(pending, results, strict=True):
            if not future.done():
                future.set_result(result)


async def ended(*tasks: asyncio.Task[None] | None) -> None:
    """Stop tasks in the background, and return when they have.

    They are told so until they do: the library may swallow a cancellation, as it does of one that connects.
    """
    while left := [task for task in tasks if task is not None and not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_S)

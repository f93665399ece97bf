"""A Redis of the stack, with keys of a test's own."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support import stack
from tasktide.adapters.redis.client import Client


def url() -> str:
    return stack.variables()["REDIS_URL"]


@asynccontextmanager
async def open_client() -> AsyncIterator[Client]:
    """A client whose keys are gone afterwards."""
    opened = Client(url(), prefix=f"test-{secrets.token_hex(4)}:")
    yield opened
    await flush(opened)
    await opened.close()


async def flush(client: Client) -> None:
    """Forget all of this test's keys."""
    keys = [key async for key in client.redis.scan_iter(match=f"{client.prefix}*", count=1_000)]
    if keys:
        await client.redis.unlink(*keys)

"""Telling those who read or wait for tasks that they have changed."""

from collections.abc import Sequence

from tasktide.domain.tasks import Task
from tasktide.ports.cache import Cache, of_task, task_key
from tasktide.ports.push import Message, Push


async def announce(cache: Cache, push: Push, changed: Sequence[Task]) -> None:
    """Put tasks as they are stored now where they are read, and wake who waits for one of them."""
    if not changed:
        return
    await cache.put([of_task(task) for task in changed])
    channels = await push.listening([task_key(task.id) for task in changed])
    await push.publish([Message(channel, b"") for channel in channels])

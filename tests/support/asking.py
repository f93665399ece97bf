"""Asks without a pause how far every group is, for so many seconds: `python -m support.asking BROKERS PREFIX SECONDS`.

In a process of its own, since what is looked for is its sudden end.
"""

import asyncio
import contextlib
import sys
import time

from tasktide.adapters.kafka.log import KafkaLog
from tasktide.domain.errors import Unavailable
from tasktide.domain.events import READERS


async def main(brokers: str, prefix: str, seconds: float) -> None:
    """Say `ready` once it asks, and `alive` at the end if there were answers in the last seconds."""
    log = KafkaLog(brokers, prefix, partitions=3)
    await log.make_topics()
    answered_at = 0.0
    ends_at = time.monotonic() + seconds

    async def ask(topic: str, group: str) -> None:
        nonlocal answered_at
        while time.monotonic() < ends_at:
            with contextlib.suppress(Unavailable):
                await log.positions(topic, group)
                answered_at = time.monotonic()
            await asyncio.sleep(0.005)

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*(ask(topic, group) for topic, groups in READERS.items() for group in groups))
    await log.close()
    sys.stdout.write("alive\n" if time.monotonic() - answered_at < 5 else "mute\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))

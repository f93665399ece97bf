"""The loop that most pipelines are: read a batch, handle it, then commit; never the other way round."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tasktide.domain.errors import Unavailable
from tasktide.pipelines.consumer import Consumer
from tasktide.ports.clock import Clock
from tasktide.ports.letters import Letters
from tasktide.ports.log import WHOLE, Log, Share, Stored
from tasktide.ports.metrics import Metrics

# Under load a pipeline waits a moment for a larger batch, as long as its reader says: when a batch holds what so many
# records a second would bring in that time. Fewer go through at once, and full batches follow each other.
LINGER_RATE, LINGER_TO = 1_100, 300

Handle = Callable[[Sequence[Any]], Awaitable[None]]


class Pipeline(Consumer):
    """Hands batches of decoded events to `handle`, which must be idempotent: a crash repeats the batch.

    A record that `handle` refuses even alone is parked as a dead letter and its neighbours go through.
    Unavailable stops the pipeline, which goes on by itself when the engine is back. Behind a batch that was not full it
    rests for `rest_s`, so that what is not urgent is done in few batches.
    """

    def __init__(
        self,
        *,
        name: str,
        topic: str,
        handle: Handle,
        log: Log,
        letters: Letters,
        clock: Clock,
        metrics: Metrics,
        batch: int | None = None,
        share: Share = WHOLE,
        rest_s: float = 0.0,
    ) -> None:
        super().__init__(name=name, topic=topic, log=log, letters=letters, clock=clock, metrics=metrics, share=share)
        self._handle = handle
        self._batch = batch or self.reader.most
        self._rest_s = rest_s
        # The last position that was handled and nobody has begun to commit.
        self._handled: int | None = None

    async def work(self) -> None:
        """Batches until asked to stop; the batch under way is finished first.

        What was handled is committed while the next batches are, so that the two can share a transaction, and the
        log decides how often it commits.
        """
        committing: asyncio.Task[None] | None = None
        try:
            while not self.stopping:
                found = await self.read(self._batch)
                if not found:
                    continue
                began = time.perf_counter()
                await self._handle_or_split([(record, event) for record, event in found if event is not None])
                self.metrics.handled(self.name, len(found), time.perf_counter() - began)
                self._handled = found[-1][0].position
                if committing is None or committing.done():
                    if committing is not None:
                        committing.result()
                    committing = asyncio.create_task(self._commit())
                if self.stalled:
                    await committing  # while the log takes no commits, what a crash would repeat must not grow
                await self._gather(len(found))
        finally:
            if committing is not None:
                await committing

    async def _gather(self, count: int) -> None:
        """Wait for a larger batch than the last one, where that is worth it."""
        linger_s = self.reader.linger_s
        if self._rest_s and count < self._batch:
            await self.pause(self._rest_s)
        elif linger_s * LINGER_RATE <= count < LINGER_TO:
            await self.pause(linger_s)
        elif self.reader.rest_s and count < LINGER_TO:
            await self.pause(self.reader.rest_s)

    async def _commit(self) -> None:
        """Commit until nothing that was handled is left to commit."""
        while self._handled is not None:
            position, self._handled = self._handled, None
            await self.keep_trying(lambda: self.reader.commit(position))  # noqa: B023 - awaited within the turn

    async def _handle_or_split(self, some: Sequence[tuple[Stored, Any]]) -> None:
        """Handle the batch; when it is refused, its halves, down to the one record that is at fault."""
        if not some:
            return
        try:
            await self.keep_trying(lambda: self._handle([event for _, event in some]))
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a record provokes
            if len(some) == 1:
                await self.park(some[0][0], error)
                return
            middle = len(some) // 2
            await self._handle_or_split(some[:middle])
            await self._handle_or_split(some[middle:])

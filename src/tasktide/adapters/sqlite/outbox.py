"""The embedded log's tables as an outbox, where the log itself is elsewhere."""

from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.ports.log import Record
from tasktide.ports.outbox import Outgoing

GROUP = "relay"


class SqliteOutbox:
    """`ports.outbox.Outbox` of one topic: what a transaction of the stores said, in the order of commits."""

    def __init__(self, log: SqliteLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._reader = log.reader(topic, GROUP)
        self.name = topic

    async def take(self, limit: int, wait_s: float) -> Outgoing | None:
        """See the port."""
        self._reader.rewind()
        found = await self._reader.read(limit, wait_s)
        if not found:
            return None
        return Outgoing(found[-1].position, [Record(self._topic, one.key, one.value, one.event) for one in found])

    async def done(self, outgoing: Outgoing) -> None:
        """See the port."""
        await self._reader.commit(outgoing.token)
        await self._log.forget(self._topic, outgoing.token)

    async def release(self) -> None:
        """See the port. One process alone has the file."""

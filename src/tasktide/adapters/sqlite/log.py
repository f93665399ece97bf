"""The embedded log: record batches in SQLite tables, so that state and events share a transaction."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from tasktide.adapters.sqlite.database import ENGINE, WAITING, Database, Transaction, settle
from tasktide.adapters.sqlite.reader import SQL, Group, SqliteReader, last_offset, progress
from tasktide.adapters.sqlite.tail import Tail, bytes_of
from tasktide.domain.errors import Unavailable
from tasktide.domain.events import NOTIFICATION_EVENTS, READERS, TASK_INGESTED
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.log import WHOLE, Record, Share

# Bytes of values in one row, unless a single append has more.
ROW_BYTES = 4 * 1024 * 1024
# While one lane waits for the writer the others prepare and tell; and each has more for one socket at once.
LANES = {NOTIFICATION_EVENTS: 4}
_MUST_READ = msgspec.json.encode([(topic, one) for topic, groups in READERS.items() for one in groups]).decode()
_pack = msgspec.msgpack.Encoder().encode


_Waiting = tuple[Sequence[Record], "asyncio.Future[None]"]


class SqliteLog:
    """`ports.log.Log` on the tables `log_*`. Appends of one event-loop tick share one row.

    Submissions may have a file of their own: accepting one then never waits for the transactions of the store.
    """

    def __init__(self, database: Database, clock: Clock, submissions: Database | None = None) -> None:
        self._database = database
        self._homes = {TASK_INGESTED: submissions or database}
        self._clock = clock
        self._pending: defaultdict[Database, list[_Waiting]] = defaultdict(list)
        # Files that hold nothing but the log: their appends wait for the one under way, and share the next row.
        self._own = {submissions} - {None, database}
        self._appending: set[Database] = set()
        # Where topics end, as their writer threads know it.
        self._ends: dict[str, int] = {}
        self._tails: defaultdict[str, Tail] = defaultdict(Tail)
        self._groups: defaultdict[str, dict[str, Group]] = defaultdict(dict)

    async def append(self, records: Sequence[Record]) -> None:
        """See the port."""
        if records:
            await self.begin(records)

    def begin(self, records: Sequence[Record]) -> "asyncio.Future[None]":
        """See the port."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        home = self.home(records[0].topic)
        pending = self._pending[home]
        if len(pending) >= WAITING:
            raise Unavailable(ENGINE, "The log has too much to write; try again in a moment.")
        if not pending and home not in self._appending:
            loop.call_soon(self._flush, home)
        pending.append((records, future))
        return future

    def home(self, topic: str) -> Database:
        """Where a topic is kept."""
        return self._homes.get(topic, self._database)

    def write(self, transaction: Transaction, records: Sequence[Record]) -> None:
        """Append inside somebody's transaction; readers are woken after its commit."""
        by_topic: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        for topic, batch in by_topic.items():
            body = _pack([(one.key, one.value) for one in batch])
            first = self._append(transaction, topic, len(batch), body)
            transaction.after_commit(self._announcer(topic, first, batch))

    def _append(self, transaction: Transaction, topic: str, count: int, body: bytes) -> int:
        """Append a batch; the offset of its first record."""
        now = self._clock.now()
        end = self._ends.get(topic, 0)
        while not transaction.execute(SQL["append"], (topic, end, count, now, body)).rowcount:
            # Another process has appended, or what we appended last was rolled back.
            end = last_offset(transaction, topic)
        self._ends[topic] = end + count
        return end + 1

    def reader(self, topic: str, group: str, share: Share = WHOLE) -> SqliteReader:
        """See the port."""
        groups = self._groups[topic]
        found = groups.get(group)
        if found is None or not found.lacks(share):
            found = groups[group] = Group(
                self.home(topic), self._tails[topic], self._clock, topic=topic, name=group, lanes=share.lanes
            )
        return found.reader(share, lambda: self._passed(topic))

    def lanes(self, topic: str) -> int:
        """See the port."""
        return LANES.get(topic, 1)

    async def settled(self, topic: str, group: str, timeout_s: float) -> bool:
        """See the port."""
        found = self._groups[topic].get(group)
        if found is None:
            end, committed = await self._look(topic, group)
            return committed >= end
        return await found.reached(await self._end(topic), timeout_s)

    async def backlog(self, topic: str, group: str) -> int:
        """See the port."""
        known = self.backlog_now(topic, group)
        if known is not None:
            return known
        end, committed = await self._look(topic, group)
        if not self._tails[topic].is_known and self._groups[topic]:
            self._tails[topic].learn(end)  # nothing was appended while we looked
        return end - committed

    def backlog_now(self, topic: str, group: str) -> int | None:
        """See the port."""
        found = self._groups[topic].get(group)
        if found is None or found.committed < 0 or not self._tails[topic].is_known:
            return None
        return self._tails[topic].end - found.committed

    async def committed(self, topic: str, group: str) -> int:
        """See the port."""
        found = self._groups[topic].get(group)
        if found is None or found.committed < 0:
            _, committed = await self._look(topic, group)
            return committed
        return found.committed

    async def trim(self, before: Timestamp) -> int:
        """See the port."""
        trimmed = 0
        for base in self._bases():
            while removed := await base.run(lambda tx: tx.execute(SQL["trim"], (before, _MUST_READ)).rowcount):
                trimmed += removed
        return trimmed

    async def forget(self, topic: str, last: int) -> None:
        """Remove the batches of a topic up to an offset, whoever has read them."""
        await self.home(topic).run(lambda tx: tx.execute(SQL["forget"], (topic, last)))

    async def ping(self) -> None:
        """See the port."""
        for base in self._bases():
            await base.read(lambda tx: tx.value("SELECT 1"))

    async def _look(self, topic: str, group: str) -> tuple[int, int]:
        return await self.home(topic).read(lambda tx: progress(tx, topic, group))

    async def _end(self, topic: str) -> int:
        return self._tails[topic].end or await self.home(topic).read(lambda tx: last_offset(tx, topic))

    def _passed(self, topic: str) -> None:
        """A reader has moved on: records behind all readers need not be remembered."""
        self._tails[topic].forget_before(min(group.position for group in self._groups[topic].values()) + 1)

    def _bases(self) -> list[Database]:
        return list(dict.fromkeys((self._database, *self._homes.values())))

    def _flush(self, home: Database) -> None:
        waiting = self._pending.pop(home, None)
        if not waiting:
            return
        pending = _of_a_row(waiting)
        if len(pending) < len(waiting):
            self._pending[home] = waiting[len(pending) :]
        records = [record for some, _ in pending for record in some]

        def done(_result: None, error: Exception | None) -> None:
            self._appending.discard(home)
            self._flush(home)
            for _, future in pending:
                settle(future, None, error)

        if home in self._own:
            self._appending.add(home)
        is_of_one_topic = all(record.topic == records[0].topic for record in records)
        home.submit(lambda tx: self.write(tx, records), done, is_whole=is_of_one_topic)

    def _announcer(self, topic: str, first: int, batch: list[Record]) -> "Callable[[], None]":
        def announce() -> None:
            tail = self._tails[topic]
            groups = self._groups.get(topic)
            if groups:
                tail.extend(first, batch)
                for group in groups.values():
                    group.announce(first, batch)
            else:
                tail.clear()
                tail.learn(first + len(batch) - 1)

        return announce


def _of_a_row(waiting: list[_Waiting]) -> list[_Waiting]:
    """The first of the appends that wait, as many as one row should hold; at least one."""
    size = 0
    for index, (records, _) in enumerate(waiting):
        size += bytes_of(records)
        if index and size > ROW_BYTES:
            return waiting[:index]
    return waiting

"""The embedded log: record batches in SQLite tables, so that state and events share a transaction."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import ENGINE, WAITING, Database, Transaction, settle
from tasktide.adapters.sqlite.tail import Tail, bytes_of
from tasktide.domain import times
from tasktide.domain.errors import Unavailable
from tasktide.domain.events import READERS, TASK_INGESTED
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.log import Lag, Record, Stored

SQL = resources.statements(__package__, "log")

# Bytes of values in one row, unless a single append has more.
ROW_BYTES = 4 * 1024 * 1024
# A batch costs about a millisecond whatever its size: single submits 5,300/s without a pause, 5,900/s with it.
LINGER_S = 0.015
# More at once would keep the event loop, which serves requests beside it, for longer.
MOST = 1_000
_MUST_READ = msgspec.json.encode([(topic, one) for topic, groups in READERS.items() for one in groups]).decode()
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


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
        self._readers: defaultdict[str, dict[str, SqliteReader]] = defaultdict(dict)

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
            end = int(transaction.value(SQL["end"], (topic,)) or 0)
        self._ends[topic] = end + count
        return end + 1

    def reader(self, topic: str, group: str) -> "SqliteReader":
        """See the port."""
        reader = self._readers[topic][group] = SqliteReader(self, self.home(topic), self._clock, topic, group)
        return reader

    def lanes(self, topic: str) -> int:  # noqa: ARG002 - the port's
        """See the port; a group knows one offset."""
        return 1

    async def settled(self, topic: str, group: str, timeout_s: float) -> bool:
        """See the port."""
        reader = self._readers[topic].get(group)
        if reader is None:
            end, committed = await self.home(topic).read(lambda tx: progress(tx, topic, group))
            return committed >= end
        return await reader.reached(await self.end(topic), timeout_s)

    async def backlog(self, topic: str, group: str) -> int:
        """See the port."""
        known = self.backlog_now(topic, group)
        if known is not None:
            return known
        end, committed = await self.home(topic).read(lambda tx: progress(tx, topic, group))
        if not self._tails[topic].is_known and self._readers[topic]:
            self._tails[topic].learn(end)  # nothing was appended while we looked
        return end - committed

    def backlog_now(self, topic: str, group: str) -> int | None:
        """See the port."""
        reader = self._readers[topic].get(group)
        if reader is None or reader.committed < 0 or not self._tails[topic].is_known:
            return None
        return self._tails[topic].end - reader.committed

    async def committed(self, topic: str, group: str) -> int:
        """See the port."""
        reader = self._readers[topic].get(group)
        if reader is None or reader.committed < 0:
            _, committed = await self.home(topic).read(lambda tx: progress(tx, topic, group))
            return committed
        return reader.committed

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

    async def end(self, topic: str) -> int:
        """The offset of the topic's last record, 0 when there is none."""
        known = self._tails[topic].end
        return known or await self.home(topic).read(lambda tx: int(tx.value(SQL["end"], (topic,)) or 0))

    def tail(self, topic: str) -> Tail:
        """What this process remembers of a topic."""
        return self._tails[topic]

    def passed(self, topic: str) -> None:
        """A reader has moved on: records behind all readers need not be remembered."""
        self._tails[topic].forget_before(min(reader.position for reader in self._readers[topic].values()) + 1)

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
            readers = self._readers.get(topic)
            if readers:
                tail.extend(first, batch)
                for reader in readers.values():
                    reader.wake()
            else:
                tail.clear()
                tail.learn(first + len(batch) - 1)

        return announce


class SqliteReader:
    """`ports.log.Reader`: from memory near the end, from the file when behind."""

    linger_s, most = LINGER_S, MOST

    def __init__(self, log: SqliteLog, database: Database, clock: Clock, topic: str, group: str) -> None:
        self._log = log
        self._database = database
        self._clock = clock
        self._topic = topic
        self._group = group
        self._woken = asyncio.Event()
        self._progress = asyncio.Event()
        self.committed = -1
        self.position = 0

    def rewind(self) -> None:
        """Read on behind the last commit."""
        self.position = max(0, self.committed)

    def wake(self) -> None:
        """There may be something to read."""
        self._woken.set()

    async def read(self, limit: int, wait_s: float) -> Sequence[Stored]:
        """See the port."""
        await self._load()
        tail = self._log.tail(self._topic)
        found = self._from_tail(limit)
        if not found and (self.position < tail.end or not tail.end):
            found = await self._from_file(limit)
        if not found and wait_s > 0:
            await self._wait(wait_s)
            # After a wait in vain the file is asked all the same: another process may have appended.
            found = self._from_tail(limit) or await self._from_file(limit)
        if found:
            self.position = found[-1].position
        return found

    async def commit(self, position: int) -> None:
        """See the port."""
        work = lambda tx: tx.execute(SQL["commit"], (self._topic, self._group, position))  # noqa: E731
        await self._database.run(work, is_whole=True)
        self.committed = max(self.committed, position)
        self._log.passed(self._topic)
        self._progress.set()

    async def lag(self) -> Lag:
        """See the port."""
        await self._load()
        end = await self._log.end(self._topic)
        if self.committed >= end:
            return Lag(0, 0.0)
        oldest = await self._database.read(lambda tx: tx.value(SQL["oldest"], (self._topic, self.committed)))
        age_ms = times.epoch_ms(self._clock.now()) - times.epoch_ms(oldest) if oldest else 0
        return Lag(end - self.committed, max(0.0, age_ms / 1000))

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Wait until that position is committed; False when time ran out."""
        await self._load()
        try:
            async with asyncio.timeout(timeout_s):
                while self.committed < position:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    async def _load(self) -> None:
        if self.committed < 0:
            _, committed = await self._database.read(lambda tx: progress(tx, self._topic, self._group))
            if self.committed < 0:  # nobody was faster while we looked
                self.committed = self.position = committed

    async def _wait(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()

    def _from_tail(self, limit: int) -> list[Stored]:
        self._woken.clear()
        return self._log.tail(self._topic).read(self.position + 1, limit)

    async def _from_file(self, limit: int) -> list[Stored]:
        position = self.position
        return await self._database.read(lambda tx: _read(tx, self._topic, position, limit))


def _of_a_row(waiting: list[_Waiting]) -> list[_Waiting]:
    """The first of the appends that wait, as many as one row should hold; at least one."""
    size = 0
    for index, (records, _) in enumerate(waiting):
        size += bytes_of(records)
        if index and size > ROW_BYTES:
            return waiting[:index]
    return waiting


def _read(transaction: Transaction, topic: str, after: int, limit: int) -> list[Stored]:
    found: list[Stored] = []
    while len(found) < limit:
        row = transaction.execute(SQL["batch"], (topic, after + 1)).fetchone()
        if row is None:
            break
        last, count, body = row
        records = unpacked(last, count, body)
        found += [record for record in records if record.position > after]
        after = last
    return found[:limit]


def unpacked(last: int, count: int, body: bytes) -> list[Stored]:
    """The records of a batch; a damaged one is given as one record, which nobody can decode, so that it is parked."""
    try:
        unpacked = _unpack(body)
    except msgspec.DecodeError:
        return [Stored(last, "", body)]
    return [Stored(last - count + 1 + i, key, value) for i, (key, value) in enumerate(unpacked)]


def progress(transaction: Transaction, topic: str, group: str) -> tuple[int, int]:
    """The last offset of a topic, and how far a group is."""
    end = int(transaction.value(SQL["end"], (topic,)) or 0)
    return end, int(transaction.value(SQL["committed"], (topic, group)) or 0)

"""Reading the embedded log: a group's way through a topic, alone or in lanes that share its keys."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.adapters.sqlite.tail import Tail
from tasktide.domain import times
from tasktide.ports.clock import Clock
from tasktide.ports.log import Lag, Record, Share, Stored

SQL = resources.statements(__package__, "log")

# A batch costs about a millisecond whatever its size: single submits 5,300/s without a pause, 5,900/s with it.
LINGER_S = 0.015
# More at once would keep the event loop, which serves requests beside it, for longer.
MOST = 1_000
_unpack = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


class Group:
    """One group's way through one topic. It remembers one offset: up to there all of its lanes have handled all.

    So a lane that was ahead when the process died is given some records again.
    """

    def __init__(self, database: Database, tail: Tail, clock: Clock, *, topic: str, name: str, lanes: int) -> None:
        self.database = database
        self.tail = tail
        self.clock = clock
        self.topic = topic
        # -1 until it has been looked up.
        self.committed = -1
        self.lanes = lanes
        self._name = name
        self._readers: dict[Share, SqliteReader] = {}
        self._progress = asyncio.Event()

    def lacks(self, share: Share) -> bool:
        """Whether the share is one of the group's, and nobody has it yet."""
        return share.lanes == self.lanes and share not in self._readers

    def reader(self, share: Share, passed: Callable[[], None]) -> "SqliteReader":
        """The reader of a share that nobody has yet; `passed` is called when it has moved on."""
        reader = self._readers[share] = SqliteReader(self, share, passed)
        if self.committed >= 0:
            reader.begin(self.committed)
        return reader

    @property
    def position(self) -> int:
        """All lanes have been given all records up to here."""
        return min(reader.position for reader in self._readers.values())

    def announce(self, first: int, records: Sequence[Record]) -> None:
        """These records were appended: wakes the lanes that have a share in them."""
        for reader in self._readers.values():
            if reader.share.has_any(records):
                reader.wake()
            else:
                reader.pass_over(first, first + len(records) - 1)

    async def load(self) -> None:
        """Look up how far the group is, once."""
        if self.committed >= 0:
            return
        _, committed = await self.database.read(lambda tx: progress(tx, self.topic, self._name))
        if self.committed < 0:  # nobody was faster while we looked
            self.committed = committed
            for reader in self._readers.values():
                reader.begin(committed)

    async def advance(self) -> None:
        """Remember how far all lanes are by now."""
        if len(self._readers) < self.lanes:
            return  # what is the share of nobody has not been handled
        handled = min(reader.handled for reader in self._readers.values())
        if handled > self.committed:
            await self._remember(handled)

    async def _remember(self, position: int) -> None:
        work = lambda tx: tx.execute(SQL["commit"], (self.topic, self._name, position))  # noqa: E731
        await self.database.run(work, is_whole=True)
        self.committed = max(self.committed, position)
        self._progress.set()

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Wait until that position is committed; False when time ran out."""
        await self.load()
        try:
            async with asyncio.timeout(timeout_s):
                while self.committed < position:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True


class SqliteReader:
    """`ports.log.Reader`, of all records or of a lane's share: from memory near the end, from the file when behind."""

    linger_s, most = LINGER_S, MOST

    def __init__(self, group: Group, share: Share, passed: Callable[[], None]) -> None:
        self.share = share
        # Records up to here were given out, or are another lane's.
        self.position = 0
        self._group = group
        self._passed = passed
        self._given = self._committed = 0
        self._woken = asyncio.Event()

    @property
    def handled(self) -> int:
        """Everything of this lane up to here has been handled."""
        return self.position if self._committed >= self._given else self._committed

    def begin(self, position: int) -> None:
        """Read on behind a position up to which all has been handled."""
        self.position = self._given = self._committed = position

    def rewind(self) -> None:
        """Read on behind the last commit."""
        self.begin(max(0, self._group.committed))

    def wake(self) -> None:
        """There may be something to read."""
        self._woken.set()

    def pass_over(self, first: int, last: int) -> None:
        """There is nothing of this lane in these new records."""
        if self.position == first - 1:
            self.position = last

    async def read(self, limit: int, wait_s: float) -> Sequence[Stored]:
        """See the port."""
        await self._group.load()
        tail = self._group.tail
        found = self._from_tail(limit)
        if not found and (self.position < tail.end or not tail.end):
            found = await self._from_file(limit)
        if not found and wait_s > 0:
            await self._wait(wait_s)
            # After a wait in vain the file is asked all the same: another process may have appended.
            found = self._from_tail(limit) or await self._from_file(limit)
        if found:
            self._given = found[-1].position
        elif self._group.lanes > 1:
            await self._group.advance()  # over records that were none of ours
        return found

    async def commit(self, position: int) -> None:
        """See the port; with lanes, as far as the others are."""
        self._committed = max(self._committed, position)
        await self._group.advance()
        self._passed()

    async def lag(self) -> Lag:
        """See the port; the first lane tells for all."""
        await self._group.load()
        group = self._group
        end = group.tail.end or await group.database.read(lambda tx: last_offset(tx, group.topic))
        if group.committed >= end or self.share.lane:
            return Lag(0, 0.0)
        oldest = await group.database.read(lambda tx: tx.value(SQL["oldest"], (group.topic, group.committed)))
        age_ms = times.epoch_ms(group.clock.now()) - times.epoch_ms(oldest) if oldest else 0
        return Lag(end - group.committed, max(0.0, age_ms / 1000))

    async def _wait(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()

    def _from_tail(self, limit: int) -> list[Stored]:
        self._woken.clear()
        found, self.position = self._group.tail.read(self.position + 1, limit, self.share)
        return found

    async def _from_file(self, limit: int) -> list[Stored]:
        topic, position, share = self._group.topic, self.position, self.share
        found, looked_at = await self._group.database.read(lambda tx: _read(tx, topic, position, limit, share))
        self.position = max(self.position, looked_at)
        return found


def _read(transaction: Transaction, topic: str, after: int, limit: int, share: Share) -> tuple[list[Stored], int]:
    """The share's records behind an offset, at most `limit`, and the last offset that was looked at."""
    found: list[Stored] = []
    while len(found) < limit:
        row = transaction.execute(SQL["batch"], (topic, after + 1)).fetchone()
        if row is None:
            break
        last, count, body = row
        found += [one for one in unpacked(last, count, body) if one.position > after and share.has(one.key)]
        after = last
    if len(found) > limit:
        return found[:limit], found[limit - 1].position
    return found, after


def unpacked(last: int, count: int, body: bytes) -> list[Stored]:
    """The records of a batch; a damaged one is given as one record, which nobody can decode, so that it is parked."""
    try:
        unpacked = _unpack(body)
    except msgspec.DecodeError:
        return [Stored(last, "", body)]
    return [Stored(last - count + 1 + i, key, value) for i, (key, value) in enumerate(unpacked)]


def last_offset(transaction: Transaction, topic: str) -> int:
    """Where a topic ends, 0 when it holds nothing."""
    return int(transaction.value(SQL["end"], (topic,)) or 0)


def progress(transaction: Transaction, topic: str, group: str) -> tuple[int, int]:
    """The last offset of a topic, and how far a group is."""
    return last_offset(transaction, topic), int(transaction.value(SQL["committed"], (topic, group)) or 0)

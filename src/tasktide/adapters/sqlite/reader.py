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
from tasktide.ports.log import WHOLE, Lag, Record, Share, Stored, lane_of

SQL = resources.statements(__package__, "log")

# A batch costs about a millisecond whatever its size: single submits 5,300/s without a pause, 5,900/s with it.
LINGER_S = 0.015
# More at once would keep the event loop, which serves requests beside it, for longer.
MOST = 1_000
# Records that a lane may be ahead of what the group remembers: so many are handled again after a stop.
LEAD = 2_000
# Records looked at in one go for a lane that has no share in them.
LOOK = 10_000
_unpack = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


class Group:
    """One group's way through one topic. It remembers one offset: up to there all of its lanes have handled all.

    So a lane that was ahead when the process ended is given some records again. While there is little to do the first
    lane reads for all, as if it were alone: small batches would cost more than lanes gain.
    """

    def __init__(self, database: Database, tail: Tail, clock: Clock, *, topic: str, name: str, lanes: int) -> None:
        self.database = database
        self.tail = tail
        self.clock = clock
        self.topic = topic
        # -1 until it has been looked up.
        self.committed = -1
        self.lanes = lanes
        # Whether each lane reads its share.
        self.is_wide = True
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

    def share_now(self, share: Share, limit: int) -> Share | None:
        """What the lane of this share reads now; None: nothing, since the first lane reads for all.

        Asked by a lane that has handled what it was given. The first one decides: all read when there is a full batch
        for each, and it alone when there is less than half of one, and no lane has anything in hand.
        """
        if share.lane == 0 and len(self._readers) == self.lanes > 1:
            waiting = self.tail.end - self.position
            if not self.is_wide and waiting >= limit * self.lanes:
                self.is_wide = True
                for reader in self._readers.values():
                    reader.wake()
            elif self.is_wide and waiting < limit / 2 and all(one.is_idle for one in self._readers.values()):
                self.is_wide = False
        if self.is_wide:
            return share
        return None if share.lane else WHOLE

    def unread(self, found: list[Stored], looked_at: int) -> list[Stored]:
        """Of what the first lane found for all, what no lane was given before; it is now."""
        positions = [self._readers[Share(lane, self.lanes)].position for lane in range(self.lanes)]
        if found and found[0].position <= max(positions):
            found = [one for one in found if one.position > positions[lane_of(one.key, self.lanes)] or not one.key]
        for reader in self._readers.values():
            reader.position = max(reader.position, looked_at)
        return found

    def announce(self, first: int, records: Sequence[Record]) -> None:
        """These records were appended: wakes the lanes that have a share in them."""
        for reader in self._readers.values():
            if self.is_wide and not reader.share.has_any(records):
                reader.pass_over(first, first + len(records) - 1)
            elif self.is_wide or not reader.share.lane:
                reader.wake()

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

    linger_s, rest_s, most = LINGER_S, 0.0, MOST

    def __init__(self, group: Group, share: Share, passed: Callable[[], None]) -> None:
        self.share = share
        # Records up to here were given out, or are another lane's.
        self.position = 0
        self._group = group
        self._passed = passed
        # While it asks the file it may find something for itself.
        self.is_looking = False
        # The last record given out, and up to where all that was given has been handled.
        self._given = self._handled = 0
        self._woken = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether it has handled all that it was given, and is not about to find more."""
        return self._handled >= self._given and not self.is_looking

    @property
    def handled(self) -> int:
        """Everything of this lane up to here has been handled."""
        return self.position if self._handled >= self._given else self._handled

    def begin(self, position: int) -> None:
        """Read on behind a position up to which all has been handled."""
        self.position = self._given = self._handled = position

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
        if self._leads and not await self._group.reached(self.position - LEAD, wait_s):
            return []
        found = await self._look(limit)
        if not found and wait_s > 0:
            await self._pass()
            await self._wait(wait_s)
            # After a wait in vain the file is asked all the same: another process may have appended.
            found = await self._look(limit, asks_file=True)
        if not found:
            await self._pass()
        return found

    async def commit(self, position: int) -> None:
        """See the port; with lanes, as far as the others are."""
        self._handled = max(self._handled, position)
        self.position = max(self.position, position)
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

    @property
    def _leads(self) -> bool:
        """Whether this lane has handled all it was given, far ahead of another."""
        group = self._group
        return group.lanes > 1 and group.is_wide and self.is_idle and self.position > group.committed + LEAD

    async def _pass(self) -> None:
        """Let the group know that what was looked at in vain was none of ours."""
        if self._group.lanes > 1:
            await self._group.advance()
            self._passed()

    async def _wait(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()

    async def _look(self, limit: int, *, asks_file: bool = False) -> list[Stored]:
        self._woken.clear()
        share, tail = self._group.share_now(self.share, limit), self._group.tail
        if share is None:
            return []
        found = self._from_tail(share, limit)
        if found or (self._start(share) == tail.end > 0 and not asks_file):
            return found
        self.is_looking = True
        try:
            return await self._from_file(share, limit) or self._from_tail(share, limit)
        finally:
            self.is_looking = False

    def _from_tail(self, share: Share, limit: int) -> list[Stored]:
        return self._taken(share, *self._group.tail.read(self._start(share) + 1, limit, share))

    async def _from_file(self, share: Share, limit: int) -> list[Stored]:
        topic = self._group.topic
        while True:
            after = self._start(share)
            found, looked_at = await self._group.database.read(lambda tx: _read(tx, topic, after, limit, share))  # noqa: B023 - awaited within the turn
            found = self._taken(share, found, looked_at)
            if found or looked_at - after < LOOK:
                return found

    def _start(self, share: Share) -> int:
        return self.position if share == self.share else self._group.position

    def _taken(self, share: Share, found: list[Stored], looked_at: int) -> list[Stored]:
        start = self._start(share)
        if share != self.share:
            found = self._group.unread(found, looked_at)
        self.position = max(self.position, looked_at)
        if found:
            if self._handled >= self._given:
                self._handled = start
            self._given = found[-1].position
        return found


def _read(transaction: Transaction, topic: str, after: int, limit: int, share: Share) -> tuple[list[Stored], int]:
    """The share's records behind an offset, at most `limit`, and the last offset that was looked at."""
    found: list[Stored] = []
    last_looked_at = after + LOOK
    while len(found) < limit and after < last_looked_at:
        row = transaction.execute(SQL["batch"], (topic, after + 1)).fetchone()
        if row is None:
            break
        last, count, body = row
        # What stands for a damaged batch has no key: any lane may have a share in it.
        found += [
            one for one in unpacked(last, count, body) if one.position > after and (share.has(one.key) or not one.key)
        ]
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

"""The end of a topic in memory: what readers near it are given instead of the file."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from tasktide.ports.log import Record, Share, Stored

# Bytes of values kept per topic.
TAIL_BYTES = 16 * 1024 * 1024
# Records looked at in one go at least: most may be another lane's.
SLICE = 256


class Chunk(NamedTuple):
    """Records that were committed together, the offset of the first of them, and the bytes of their values."""

    first: int
    records: Sequence[Record]
    size: int

    @property
    def last(self) -> int:
        """The offset of the last record."""
        return self.first + len(self.records) - 1


class Tail:
    """The newest records of one topic, without a hole, for the readers of this process.

    `end` is where the topic ends, once that `is_known`.
    """

    def __init__(self) -> None:
        self.end = 0
        self.is_known = False
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0

    def extend(self, first: int, records: Sequence[Record]) -> None:
        """Take in what was committed; a hole (another process appended) empties the tail first."""
        if first != self.end + 1:
            self.clear()
        size = bytes_of(records)
        self._chunks.append(Chunk(first, records, size))
        self._bytes += size
        self.learn(first + len(records) - 1)
        while self._bytes > TAIL_BYTES:
            self._forget_first()

    def learn(self, end: int) -> None:
        """Where the topic ends."""
        self.end, self.is_known = end, True

    def read(self, offset: int, limit: int, share: Share) -> tuple[list[Stored], int]:
        """The share's records from an offset on, at most `limit`, and the last offset that was looked at.

        None, and the offset before, when that offset is not here.
        """
        lane, lanes = share
        found: list[Stored] = []
        for chunk in self._chunks:
            if chunk.last < offset:
                continue
            if chunk.first > offset:
                break
            while offset <= chunk.last and len(found) < limit:
                skipped = offset - chunk.first
                some = chunk.records[skipped : skipped + max(SLICE, limit - len(found))]
                # As `Share.has`, whose call would cost as much as the record: every lane looks at each of them.
                found += [
                    Stored(offset + i, one.key, one.value, one.event)
                    for i, one in enumerate(some)
                    if lanes == 1 or hash(one.key) % lanes == lane
                ]
                offset += len(some)
            if len(found) >= limit:
                del found[limit:]
                return found, found[-1].position
        return found, offset - 1

    def forget_before(self, offset: int) -> None:
        """Let go of what every reader has passed."""
        while self._chunks and self._chunks[0].last < offset:
            self._forget_first()

    def clear(self) -> None:
        """Forget all records."""
        self._chunks.clear()
        self._bytes = 0

    def _forget_first(self) -> None:
        self._bytes -= self._chunks.popleft().size


def bytes_of(records: Sequence[Record]) -> int:
    """How large the values of records are together."""
    return sum(len(record.value) for record in records)

"""Works that wait for a worker, the most urgent first."""

import heapq
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from tasktide.domain.events import Work
from tasktide.ports.log import Stored

# A priority step is worth this much waiting: 9 overtakes 0, and a 0 that has waited 90 s overtakes a new 9.
STEP_S = 10.0


class Waiting(NamedTuple):
    """One work at its position in the topic; `rank` grows with arrival and shrinks with priority."""

    rank: float
    position: int
    record: Stored
    work: Work


class WaitingRoom:
    """A bounded priority queue with aging. A handler that is at its limit holds up nobody else."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_handler: dict[str, list[Waiting]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def room(self) -> int:
        """How many more may come in."""
        return max(0, self._capacity - self._size)

    def add(self, record: Stored, work: Work, now_s: float) -> None:
        """Let a work in."""
        waiting = Waiting(now_s - work.priority * STEP_S, record.position, record, work)
        heapq.heappush(self._by_handler.setdefault(work.handler, []), waiting)
        self._size += 1

    def take(self, count: int, capacity: Callable[[str], int]) -> list[Waiting]:
        """The most urgent works, at most `count`, and of each handler at most its free capacity."""
        free = {handler: capacity(handler) for handler in self._by_handler}
        taken: list[Waiting] = []
        while len(taken) < count:
            heads = [heap[0] for handler, heap in self._by_handler.items() if free[handler] > 0]
            if not heads:
                break
            handler = min(heads).work.handler
            heap = self._by_handler[handler]
            taken.append(heapq.heappop(heap))
            free[handler] -= 1
            if not heap:
                del self._by_handler[handler]
        self._size -= len(taken)
        return taken

    def evict_newest(self) -> list[Waiting]:
        """Take out the less urgent half of the handler that has most waiting."""
        ranked = sorted(self._by_handler[self.longest()[0]])
        return self._evict(ranked[len(ranked) // 2 :])

    def longest(self) -> tuple[str, int]:
        """The handler that has most waiting, and how many."""
        handler = max(self._by_handler, key=lambda name: len(self._by_handler[name]))
        return handler, len(self._by_handler[handler])

    def evict_oldest(self) -> list[Waiting]:
        """Take out the half of all that was read first."""
        everyone = sorted((one for heap in self._by_handler.values() for one in heap), key=lambda one: one.position)
        return self._evict(everyone[: (len(everyone) + 1) // 2])

    def _evict(self, gone: list[Waiting]) -> list[Waiting]:
        positions = {one.position for one in gone}
        for handler, heap in list(self._by_handler.items()):
            kept = [one for one in heap if one.position not in positions]
            heapq.heapify(kept)
            if kept:
                self._by_handler[handler] = kept
            else:
                del self._by_handler[handler]
        self._size -= len(gone)
        return gone


class Watermark:
    """Which position may be committed when works are done out of order: the last one before the first undone."""

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._known: set[int] = set()
        self._done: set[int] = set()
        self.position = 0

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, position: int) -> bool:
        """A record was read; False when it was read before and is not behind us yet: it is here already."""
        if position in self._known:
            return False
        self._known.add(position)
        self._open.append(position)
        return True

    def done(self, position: int) -> None:
        """A record is taken care of."""
        if position not in self._known:
            return
        self._done.add(position)
        while self._open and self._open[0] in self._done:
            self.position = self._open.popleft()
            self._done.discard(self.position)
            self._known.discard(self.position)

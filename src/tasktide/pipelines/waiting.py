"""Works that wait for a worker, the most urgent first."""

import heapq
from collections import Counter, deque
from typing import NamedTuple

from tasktide.domain.events import Work
from tasktide.pipelines.places import Lane, Places
from tasktide.ports.log import Stored

# A priority step is worth this much waiting: 9 overtakes 0, and a 0 that has waited 90 s overtakes a new 9.
STEP_S = 10.0


class Waiting(NamedTuple):
    """One work at its position in the topic; `rank` grows with arrival and shrinks with priority."""

    rank: float
    position: int
    record: Stored
    work: Work
    lane: Lane


class WaitingRoom:
    """A bounded priority queue with aging. A lane that may not go on holds up nobody else."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lanes: dict[Lane, list[Waiting]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def room(self) -> int:
        """How many more may come in."""
        return max(0, self._capacity - self._size)

    def add(self, record: Stored, work: Work, now_s: float) -> None:
        """Let a work in."""
        lane = Lane(work.handler, work.creator_id)
        waiting = Waiting(now_s - work.priority * STEP_S, record.position, record, work, lane)
        heapq.heappush(self._lanes.setdefault(lane, []), waiting)
        self._size += 1

    def take(self, count: int, places: Places) -> list[Waiting]:
        """The most urgent works that may begin, at most `count`; each has a place from here on."""
        heads = [heap[0] for lane, heap in self._lanes.items() if places.allow(lane)]
        heapq.heapify(heads)
        taken: list[Waiting] = []
        while heads and len(taken) < count:
            lane = heads[0].lane
            if not places.allow(lane):  # what was free a moment ago is taken
                heapq.heappop(heads)
                continue
            places.take(lane)
            heap = self._lanes[lane]
            taken.append(heapq.heappop(heap))
            if heap:
                heapq.heapreplace(heads, heap[0])
            else:
                heapq.heappop(heads)
                del self._lanes[lane]
        self._size -= len(taken)
        return taken

    def evict_newest(self) -> list[Waiting]:
        """Take out half of the handler that has most waiting: the ends of its longest queues, the less urgent ones."""
        handler, count = self.longest()
        queues = [sorted(heap) for lane, heap in self._lanes.items() if lane.handler == handler]
        placed = sorted((place, one) for queue in queues for place, one in enumerate(queue))
        return self._evict([one for _, one in placed[count // 2 :]])

    def longest(self) -> tuple[str, int]:
        """The handler that has most waiting, and how many."""
        counts: Counter[str] = Counter()
        for lane, heap in self._lanes.items():
            counts[lane.handler] += len(heap)
        return counts.most_common(1)[0]

    def evict_oldest(self) -> list[Waiting]:
        """Take out the half of all that was read first."""
        everyone = sorted((one for heap in self._lanes.values() for one in heap), key=lambda one: one.position)
        return self._evict(everyone[: (len(everyone) + 1) // 2])

    def _evict(self, gone: list[Waiting]) -> list[Waiting]:
        positions = {one.position for one in gone}
        for lane in {one.lane for one in gone}:
            kept = [one for one in self._lanes[lane] if one.position not in positions]
            heapq.heapify(kept)
            if kept:
                self._lanes[lane] = kept
            else:
                del self._lanes[lane]
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

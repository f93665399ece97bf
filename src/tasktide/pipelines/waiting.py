"""Works that wait for a worker, the most urgent first."""

import heapq
from collections import deque
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


class _Queue:
    """What waits for one handler: for each creator a heap, and a heap of their heads."""

    def __init__(self, handler: str) -> None:
        self._handler = handler
        self.lanes: dict[Lane, list[Waiting]] = {}
        # Every lane's head is here, once. What has ceased to be one, since a more urgent one came, is here still.
        self._heads: list[Waiting] = []
        self._listed: set[int] = set()
        self._aside: list[Waiting] = []

    def add(self, one: Waiting) -> None:
        heap = self.lanes.get(one.lane)
        if heap is None:
            heap = self.lanes[one.lane] = []
        heapq.heappush(heap, one)
        if heap[0] is one:
            heapq.heappush(self._heads, one)
            self._listed.add(one.position)

    def first(self, places: Places) -> Waiting | None:
        """The most urgent one that may begin. Lanes that may not are set aside until `restore`."""
        heads = self._heads
        while heads:
            one = heads[0]
            heap = self.lanes.get(one.lane)
            if heap is None or heap[0] is not one:
                self._listed.discard(heapq.heappop(heads).position)
            elif places.allow(one.lane):
                return one
            elif places.are_left(self._handler):
                self._aside.append(heapq.heappop(heads))
            else:
                return None
        return None

    def pop(self, one: Waiting) -> None:
        """Take out the one that `first` has found."""
        heap = self.lanes[one.lane]
        heapq.heappop(heap)
        self._listed.discard(one.position)
        if not heap:
            del self.lanes[one.lane]
            heapq.heappop(self._heads)
        elif heap[0].position in self._listed:
            heapq.heappop(self._heads)
        else:
            self._listed.add(heap[0].position)
            heapq.heapreplace(self._heads, heap[0])

    def restore(self) -> None:
        """Those that were set aside may be asked for again."""
        for one in self._aside:
            heapq.heappush(self._heads, one)
        self._aside.clear()


class WaitingRoom:
    """A bounded priority queue with aging. A lane that may not go on holds up nobody else.

    Taking some looks, beside them, at the handlers and at the creators that have places, however many wait.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queues: dict[str, _Queue] = {}
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
        self._add(Waiting(now_s - work.priority * STEP_S, record.position, record, work, lane))

    def _add(self, one: Waiting) -> None:
        queue = self._queues.get(one.lane.handler)
        if queue is None:
            queue = self._queues[one.lane.handler] = _Queue(one.lane.handler)
        queue.add(one)
        self._size += 1

    def take(self, count: int, places: Places) -> list[Waiting]:
        """The most urgent works that may begin, at most `count`; each has a place from here on."""
        taken: list[Waiting] = []
        if count <= 0:
            return taken
        firsts = [one for queue in self._queues.values() if (one := queue.first(places)) is not None]
        heapq.heapify(firsts)
        after = None
        while firsts:
            one = firsts[0]
            queue = self._queues[one.lane.handler]
            # Others may have taken meanwhile what was free when it was found.
            if one is after or places.allow(one.lane):
                places.take(one.lane)
                queue.pop(one)
                taken.append(one)
                if len(taken) == count:
                    break
            after = queue.first(places)
            if after is None:
                heapq.heappop(firsts)
            else:
                heapq.heapreplace(firsts, after)
        for queue in self._queues.values():
            queue.restore()
        for handler in {one.lane.handler for one in taken}:
            if not self._queues[handler].lanes:
                del self._queues[handler]
        self._size -= len(taken)
        return taken

    def evict_newest(self) -> list[Waiting]:
        """Take out half of the handler that has most waiting: the ends of its longest queues, the less urgent ones."""
        handler, count = self.longest()
        lanes = [sorted(heap) for heap in self._queues[handler].lanes.values()]
        placed = sorted((place, one) for lane in lanes for place, one in enumerate(lane))
        return self._evict([one for _, one in placed[count // 2 :]])

    def longest(self) -> tuple[str, int]:
        """The handler that has most waiting, and how many."""
        counts = ((sum(map(len, queue.lanes.values())), handler) for handler, queue in self._queues.items())
        count, handler = max(counts)
        return handler, count

    def evict_oldest(self) -> list[Waiting]:
        """Take out the half of all that was read first."""
        everyone = sorted(self._everyone(), key=lambda one: one.position)
        return self._evict(everyone[: (len(everyone) + 1) // 2])

    def _everyone(self) -> list[Waiting]:
        return [one for queue in self._queues.values() for heap in queue.lanes.values() for one in heap]

    def _evict(self, gone: list[Waiting]) -> list[Waiting]:
        positions = {one.position for one in gone}
        kept = [one for one in self._everyone() if one.position not in positions]
        self._queues.clear()
        self._size = 0
        for one in kept:
            self._add(one)
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

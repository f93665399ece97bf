"""The places in which a worker runs jobs, and who may have the next one."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tasktide.domain.ids import UserId

# A creator's next job begins while they have fewer places than this many times the free ones. So one alone gets 7/8 of
# them, the next 7/8 of the rest, and whoever comes finds some free, for however long the jobs of the others run. Up to
# seven in all, one may have them all.
# (Dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.)
SHARE = 7


class Lane(NamedTuple):
    """Jobs of one handler that one creator made; nobody is known of an order by an older version."""

    handler: str
    creator_id: UserId | None


class Places:
    """So many jobs run at once, of each handler its capacity; a creator takes of both what leaves some to others."""

    def __init__(self, count: int, capacity: Callable[[str], int]) -> None:
        self.free = count
        self._capacity = capacity
        self._by_handler: Counter[str] = Counter()
        self._by_creator: Counter[UserId | None] = Counter()
        self._by_lane: Counter[Lane] = Counter()

    def allow(self, lane: Lane) -> bool:
        """Whether the lane's next job may begin."""
        left = self._capacity(lane.handler) - self._by_handler[lane.handler]
        return self._by_creator[lane.creator_id] < SHARE * self.free and self._by_lane[lane] < SHARE * left

    def take(self, lane: Lane) -> None:
        """One of them is in use."""
        self._count(lane, 1)

    def give_back(self, lane: Lane) -> None:
        """It is free again."""
        self._count(lane, -1)

    def _count(self, lane: Lane, more: int) -> None:
        self.free -= more
        self._by_handler[lane.handler] += more
        self._by_creator[lane.creator_id] += more
        self._by_lane[lane] += more
        # There are many more creators than jobs at once.
        if not self._by_lane[lane]:
            del self._by_lane[lane]
        if not self._by_creator[lane.creator_id]:
            del self._by_creator[lane.creator_id]

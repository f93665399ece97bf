"""The places in which a worker runs jobs, and who may have the next one."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

from tasktide.domain.ids import UserId

# A creator's next job begins while they have fewer places than this many times the free ones. So one alone gets 7/8 of
# them, the next 7/8 of the rest, and whoever comes finds some free, for however long the jobs of the others run. Up to
# seven in all, one may have them all.
# (Dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.)
SHARE = 7

Key = TypeVar("Key")


class Lane(NamedTuple):
    """Jobs of one handler that one creator made; nobody is known of an order by an older version."""

    handler: str
    creator_id: UserId | None


class Places:
    """So many jobs run at once, of each handler its capacity; a creator takes of both what leaves some to others."""

    def __init__(self, count: int, capacity: Callable[[str], int]) -> None:
        self.free = count
        self._capacity = lru_cache(maxsize=1_000)(capacity)
        # Of handlers, creators and lanes, those that have places now. Plain dictionaries: a Counter calls Python.
        self._by_handler: dict[str, int] = {}
        self._by_creator: dict[UserId | None, int] = {}
        self._by_lane: dict[Lane, int] = {}

    def allow(self, lane: Lane) -> bool:
        """Whether the lane's next job may begin."""
        left = self._capacity(lane.handler) - self._by_handler.get(lane.handler, 0)
        in_all, of_handler = self._by_creator.get(lane.creator_id, 0), self._by_lane.get(lane, 0)
        return in_all < SHARE * self.free and of_handler < SHARE * left

    def take(self, lane: Lane) -> None:
        """One of them is in use."""
        self.free -= 1
        _more(self._by_handler, lane.handler)
        _more(self._by_creator, lane.creator_id)
        _more(self._by_lane, lane)

    def give_back(self, lane: Lane) -> None:
        """It is free again."""
        self.free += 1
        _less(self._by_handler, lane.handler)
        _less(self._by_creator, lane.creator_id)
        _less(self._by_lane, lane)


def _more(counts: dict[Key, int], key: Key) -> None:
    counts[key] = counts.get(key, 0) + 1


def _less(counts: dict[Key, int], key: Key) -> None:
    count = counts[key] - 1
    if count:
        counts[key] = count
    else:
        del counts[key]  # there are many more creators than jobs at once

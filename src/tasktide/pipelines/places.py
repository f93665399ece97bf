"""The places in which a worker runs jobs, and who may have the next one."""

from collections.abc import Callable
from typing import NamedTuple

from tasktide.domain.handlers import Demand
from tasktide.domain.ids import UserId

# A creator's next job begins while they have fewer places than this many times the free ones. So one alone gets 7/8 of
# them, the next 7/8 of the rest, and whoever comes finds some free, for however long the jobs of the others run. Up to
# seven in all, one may have them all.
# (Dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.)
SHARE = 7
# The last of so many places are for those who have none yet, one each: 7/8 of the rest is soon nothing.
KEPT = 32


class Lane(NamedTuple):
    """Jobs of one handler that one creator made; nobody is known of an order by an older version."""

    handler: str
    creator_id: UserId | None


class Pool:
    """Some places of one kind. Who has some already leaves some to others."""

    def __init__(self, size: int) -> None:
        self.free = size
        self._kept = size // KEPT
        self._taken: dict[UserId | None, int] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nobody has a place."""
        return not self._taken

    def allows(self, creator_id: UserId | None) -> bool:
        """Whether the creator's next job may have a place."""
        taken = self._taken.get(creator_id)
        return self.free > 0 if taken is None else taken < SHARE * (self.free - self._kept)

    def take(self, creator_id: UserId | None) -> None:
        """One of them is in use; more may be than there are, if it must."""
        self.free -= 1
        self._taken[creator_id] = self._taken.get(creator_id, 0) + 1

    def give_back(self, creator_id: UserId | None) -> None:
        """It is free again."""
        self.free += 1
        left = self._taken[creator_id] - 1
        if left:
            self._taken[creator_id] = left
        else:
            del self._taken[creator_id]  # there are many more creators than jobs at once


class Places:
    """So many jobs run at once, so many of them in threads, and of each handler what it allows."""

    def __init__(self, count: int, threads: int, demand: Callable[[str], Demand]) -> None:
        self._all = Pool(count)
        self._threads = Pool(threads)
        self._demand = demand
        # What a job of a handler takes a place of, the handler's own pool first. Only handlers whose jobs run.
        self._pools: dict[str, tuple[Pool, ...]] = {}

    @property
    def free(self) -> int:
        """How many more may run, whosever they are."""
        return self._all.free

    def are_left(self, handler: str) -> bool:
        """Whether somebody's job of the handler may begin."""
        return all(pool.free > 0 for pool in self._pools.get(handler) or self._of(handler))

    def allow(self, lane: Lane) -> bool:
        """Whether the lane's next job may begin."""
        handler, creator_id = lane
        for pool in self._pools.get(handler) or self._of(handler):  # noqa: SIM110 - a generator costs as much again
            if not pool.allows(creator_id):
                return False
        return True

    def take(self, lane: Lane) -> None:
        """One of them is in use."""
        handler, creator_id = lane
        pools = self._pools.get(handler)
        if pools is None:
            pools = self._pools[handler] = self._of(handler)
        for pool in pools:
            pool.take(creator_id)

    def give_back(self, lane: Lane) -> None:
        """It is free again."""
        handler, creator_id = lane
        pools = self._pools[handler]
        for pool in pools:
            pool.give_back(creator_id)
        if pools[0].is_idle:
            del self._pools[handler]  # names of handlers that there are not would never end

    def _of(self, handler: str) -> tuple[Pool, ...]:
        demand = self._demand(handler)
        pool = Pool(demand.concurrency)
        return (pool, self._all, self._threads) if demand.in_thread else (pool, self._all)

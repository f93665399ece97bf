"""The job queue for deliveries.

Mail goes out in any order, through one server; what is to be called, webhooks, in each user's, to wherever users say.
"""

from collections.abc import Sequence
from typing import Protocol

from tasktide.domain.deliveries import Delivery
from tasktide.domain.ids import UserId
from tasktide.domain.times import Timestamp


class Jobs(Protocol):
    """Deliveries that wait, run, wait again or are dead. Each is leased to one taker at a time."""

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Queue deliveries, durable when it returns; one that was ever queued (by its key) is left alone."""
        ...

    async def take(self, limit: int, lease_s: float, among: Sequence[Delivery] | None = None) -> Sequence[Delivery]:
        """Due mail, oldest first, for this taker alone until the lease ends; `attempts` counts this one.

        With `among`, of these alone.
        """
        ...

    async def waiting_users(self, after: UserId, limit: int) -> Sequence[UserId]:
        """Users with ids above a given one, ascending, for whom something is to be called now and nothing is."""
        ...

    async def take_calls(self, user_id: UserId, limit: int, lease_s: float) -> Sequence[Delivery]:
        """What is to be called for a user now, by ascending id, leased as by `take`; nothing while something is."""
        ...

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """These went out."""
        ...

    async def retry(self, delivery: Delivery, delay_s: float, error: str) -> None:
        """This one failed and is due again in that many seconds."""
        ...

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """These were not tried: due at once, as if they had not been taken."""
        ...

    async def bury(self, delivery: Delivery, error: str) -> None:
        """This one failed for the last time and is kept as dead."""
        ...

    async def revive(self, deliveries: Sequence[Delivery]) -> None:
        """Dead ones are due again, with all their tries before them; others stay as they are."""
        ...

    async def purge(self, before: Timestamp) -> int:
        """Forget those that went out before that time; how many. From then on a repeated one is a new one."""
        ...

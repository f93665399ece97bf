"""Bringing notifications out of the house."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec

from tasktide.domain import events, retry
from tasktide.domain.deliveries import Delivery, compose
from tasktide.domain.letters import DeadLetter
from tasktide.ports.clock import Clock
from tasktide.ports.jobs import Jobs
from tasktide.ports.letters import Letters
from tasktide.ports.mail import Mailer, Refused
from tasktide.ports.users import UserStore

BATCH = 50
# Longer than any attempt, so that nobody else takes a delivery that is under way.
LEASE_S = 120.0
ATTEMPT_S = 60.0


class _Failure(NamedTuple):
    """Why a delivery failed, and whether to try it again is of no use."""

    reason: str
    is_final: bool


class DeliveryDesk:
    """Takes due deliveries and tries each; what fails waits longer each time and is a dead letter in the end.

    What the mail server refuses for good, and what has no address, is one at once.
    """

    def __init__(
        self,
        *,
        jobs: Jobs,
        users: UserStore,
        mailer: Mailer,
        letters: Letters,
        clock: Clock,
        random: Random,
        public_url: str = "",
    ) -> None:
        self._public_url = public_url
        self._jobs = jobs
        self._letters = letters
        self._clock = clock
        self._users = users
        self._mailer = mailer
        self._random = random

    async def deliver(self) -> tuple[int, int]:
        """Try what is due: how many were taken, and how many of them are dead now."""
        taken = await self._jobs.take(BATCH, LEASE_S)
        if not taken:
            return 0, 0
        accounts = await self._users.get({one.user_id for one in taken})
        addresses = {user_id: account.user.email for user_id, account in accounts.items()}
        failures = await asyncio.gather(*(self._try(one, addresses.get(one.user_id)) for one in taken))
        done = [one for one, failure in zip(taken, failures, strict=True) if failure is None]
        if done:
            await self._jobs.done(done)
        buried = 0
        for one, failure in zip(taken, failures, strict=True):
            if failure is not None:
                buried += await self._failed(one, failure)
        return len(taken), buried

    async def _try(self, delivery: Delivery, address: str | None) -> _Failure | None:
        if address is None:
            return _Failure("the user has no address", is_final=True)
        try:
            async with asyncio.timeout(ATTEMPT_S):
                await self._mailer.send(compose(delivery, address, self._public_url))
        except Exception as error:  # noqa: BLE001 - one bad delivery must not stop its neighbours
            return _Failure(f"{type(error).__name__}: {error}", is_final=isinstance(error, Refused))
        return None

    async def _failed(self, delivery: Delivery, failure: _Failure) -> bool:
        delay_s = None if failure.is_final else retry.scheduled_s(delivery.attempts, self._random)
        if delay_s is None:
            await self._letters.park([self._letter(delivery, failure.reason)])
            await self._jobs.bury(delivery, failure.reason)
            return True
        await self._jobs.retry(delivery, delay_s, failure.reason)
        return False

    async def revive(self, replayed: Sequence[Delivery]) -> None:
        """Try dead deliveries again from the first try on."""
        await self._jobs.revive(replayed)

    def _letter(self, delivery: Delivery, error: str) -> DeadLetter:
        return DeadLetter(
            topic=events.DELIVERIES,
            pipeline="deliver",
            position=delivery.notification.id,
            key=str(delivery.user_id),
            value=msgspec.json.encode(delivery),
            reason=error,
            attempts=delivery.attempts,
            parked_at=self._clock.now(),
        )

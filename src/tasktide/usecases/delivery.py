"""Bringing notifications out of the house."""

import asyncio
from collections.abc import Awaitable, Sequence
from random import Random
from typing import NamedTuple

import msgspec
import structlog

from tasktide.domain import events, retry, webhooks
from tasktide.domain.deliveries import Delivery, Refused, compose
from tasktide.domain.errors import Unavailable
from tasktide.domain.ids import UserId
from tasktide.domain.letters import DeadLetter
from tasktide.ports.clock import Clock
from tasktide.ports.jobs import Jobs
from tasktide.ports.letters import Letters
from tasktide.ports.mail import Mailer
from tasktide.ports.users import UserStore
from tasktide.ports.webhooks import Caller, WebhookStore

BATCH = 50
# Longer than any attempt, so that nobody else takes a delivery that is under way.
LEASE_S = 120.0
ATTEMPT_S = 60.0
# Users whose webhooks are called at once, how many are looked at for that, and calls taken for one of them at once.
LANES = 100
LOOK = 1_000
CALLS = 20
# Calls that were not begun so long after they were taken are given back: an attempt must end within the lease.
PATIENCE_S = 50.0
# A user makes room for others after so long.
TURN_S = 30.0
# After a failure a receiver is left alone until the next try, but not longer than this: what it refuses for another
# reason than its state must not hold up the rest for hours.
REST_S = 60.0
# The same after a failure of our own.
STALL_S = 1.0
# What is under way at the end may still end.
CLOSE_S = 4.0


class _Failure(NamedTuple):
    """Why a delivery failed, and whether to try it again is of no use."""

    reason: str
    is_final: bool


class DeliveryDesk:
    """Takes due deliveries and tries each; what fails waits longer each time and is a dead letter in the end.

    What is refused for good, and what has no address, is one at once. Mail goes to one server and is tried batch by
    batch. Webhooks go to wherever users say: each user's are called one by one in their order, beside everything else,
    so that a receiver that is slow, or away, holds up nobody but itself.
    """

    def __init__(
        self,
        *,
        jobs: Jobs,
        users: UserStore,
        mailer: Mailer,
        hooks: WebhookStore,
        caller: Caller,
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
        self._hooks = hooks
        self._caller = caller
        self._random = random
        self._lanes: dict[UserId, asyncio.Task[None]] = {}
        self._rests: dict[UserId, float] = {}  # until which second of the monotonic clock
        self._after = UserId(0)
        self._buried = 0
        self._closing = False
        self._logger = structlog.get_logger("deliver")

    async def deliver(self) -> tuple[int, int]:
        """Try the mail that is due: how many were taken, and how many deliveries have died since the last time."""
        mails = await self._jobs.take(BATCH, LEASE_S)
        await self._mail(mails)
        return len(mails), self._counted()

    async def call(self) -> tuple[int, int]:
        """Begin to call for users for whom something is due: for how many, and how many deliveries have died."""
        return await self._open_lanes(), self._counted()

    async def revive(self, replayed: Sequence[Delivery]) -> None:
        """Try dead deliveries again from the first try on."""
        await self._jobs.revive(replayed)

    async def close(self) -> None:
        """Let calls that are under way end, for a while; what was not begun is given back."""
        self._closing = True
        if not self._lanes:
            return
        _, late = await asyncio.wait(self._lanes.values(), timeout=CLOSE_S)
        for one in late:
            one.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _mail(self, mails: Sequence[Delivery]) -> None:
        if not mails:
            return
        accounts = await self._users.get({one.user_id for one in mails})
        addresses = {user_id: account.user.email for user_id, account in accounts.items()}
        failures = await asyncio.gather(*(self._send(one, addresses.get(one.user_id)) for one in mails))
        done = [one for one, failure in zip(mails, failures, strict=True) if failure is None]
        if done:
            await self._jobs.done(done)
        for one, failure in zip(mails, failures, strict=True):
            if failure is not None:
                await self._failed(one, failure, retry.MAIL_DELAYS_S)

    async def _send(self, delivery: Delivery, address: str | None) -> _Failure | None:
        if address is None:
            return _Failure("the user has no address", is_final=True)
        return await _tried(self._mailer.send(compose(delivery, address, self._public_url)))

    def _counted(self) -> int:
        buried, self._buried = self._buried, 0
        return buried

    async def _open_lanes(self) -> int:
        """For how many users it was begun: around the circle, from the last one on."""
        now = self._clock.monotonic()
        self._rests = {user_id: until_s for user_id, until_s in self._rests.items() if until_s > now}
        if self._closing or len(self._lanes) >= LANES:
            return 0
        found = list(await self._jobs.waiting_users(self._after, LOOK))
        if self._after and len(found) < LOOK:
            found += [one for one in await self._jobs.waiting_users(UserId(0), LOOK) if one <= self._after]
        free = [user_id for user_id in found if user_id not in self._lanes and user_id not in self._rests]
        begun = free[: LANES - len(self._lanes)]
        self._after = begun[-1] if begun else found[-1] if len(found) >= LOOK else UserId(0)
        for user_id in begun:
            self._lanes[user_id] = asyncio.create_task(self._serve(user_id), name=f"webhooks of {user_id}")
        return len(begun)

    async def _serve(self, user_id: UserId) -> None:
        """Call for one user until nothing is due, the receiver fails, or others should have a turn."""
        ends_s = self._clock.monotonic() + TURN_S
        try:
            while not self._closing:
                calls = await self._jobs.take_calls(user_id, CALLS, LEASE_S)
                tried = await self._call_each(calls)
                if tried < len(calls):
                    await self._jobs.give_back(calls[tried:])
                if not calls or user_id in self._rests or self._clock.monotonic() >= ends_s:
                    break
        except Exception as error:
            # What was not written down comes again when its lease ends.
            self._rest(user_id, STALL_S)
            if isinstance(error, Unavailable):
                self._logger.warning("stalled", engine=error.engine, detail=error.whole)
            else:
                self._logger.exception("webhooks failed")
        finally:
            del self._lanes[user_id]

    async def _call_each(self, calls: Sequence[Delivery]) -> int:
        """Call in order, up to the first that fails; how many were tried."""
        began_s = self._clock.monotonic()
        for tried, one in enumerate(calls):
            if self._closing or self._clock.monotonic() - began_s > PATIENCE_S:
                return tried
            if not await self._call(one):
                return tried + 1
        return len(calls)

    async def _call(self, delivery: Delivery) -> bool:
        """Try one; whether the next may follow."""
        hook = (await self._hooks.get([delivery.user_id])).get(delivery.user_id)
        failure = None
        if hook is not None:  # else its user wants it no more
            failure = await _tried(self._caller.call(webhooks.prepare(delivery, hook, self._clock.now())))
        if failure is None:
            await self._jobs.done([delivery])
            return True
        delay_s = await self._failed(delivery, failure, retry.CALL_DELAYS_S)
        if failure.is_final:
            return True
        self._rest(delivery.user_id, min(REST_S, delay_s or REST_S))
        return False

    def _rest(self, user_id: UserId, seconds: float) -> None:
        self._rests[user_id] = self._clock.monotonic() + seconds

    async def _failed(self, delivery: Delivery, failure: _Failure, delays_s: Sequence[float]) -> float | None:
        """Seconds until the next try; None when there is none."""
        delay_s = None if failure.is_final else retry.scheduled_s(delivery.attempts, self._random, delays_s)
        if delay_s is None:
            await self._letters.park([self._letter(delivery, failure.reason)])
            await self._jobs.bury(delivery, failure.reason)
            self._buried += 1
        else:
            await self._jobs.retry(delivery, delay_s, failure.reason)
        return delay_s

    def _letter(self, delivery: Delivery, error: str) -> DeadLetter:
        return DeadLetter(
            topic=events.DELIVERIES,
            pipeline=f"deliver-{delivery.channel}",
            position=delivery.notification.id,
            key=str(delivery.user_id),
            value=msgspec.json.encode(delivery),
            reason=error,
            attempts=delivery.attempts,
            parked_at=self._clock.now(),
        )


async def _tried(attempt: Awaitable[None]) -> _Failure | None:
    try:
        async with asyncio.timeout(ATTEMPT_S):
            await attempt
    except Exception as error:  # noqa: BLE001 - one bad delivery must not stop its neighbours
        return _Failure(f"{type(error).__name__}: {error}", is_final=isinstance(error, Refused))
    return None

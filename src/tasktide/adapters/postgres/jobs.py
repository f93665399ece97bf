"""The delivery queue on PostgreSQL."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.domain.deliveries import Delivery
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel, Notification
from tasktide.domain.times import Timestamp, later
from tasktide.ports.clock import Clock

SQL = resources.statements(__package__, "jobs")

_decode = msgspec.json.Decoder(Notification).decode


class PostgresJobs:
    """`ports.jobs.Jobs` on the table `deliveries`; takers skip what others have locked."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        told = [msgspec.json.encode(one.notification).decode() for one in deliveries]
        users = [one.user_id for one in deliveries]
        await self._database.execute(SQL["put"], *_keys(deliveries), told, self._clock.now(), users)

    async def take(self, limit: int, lease_s: float, among: Sequence[Delivery] | None = None) -> Sequence[Delivery]:
        """See the port."""
        now = self._clock.now()
        until = later(now, lease_s)
        if among is not None:
            rows = await self._database.write(SQL["take_among"], now, limit, until, *_keys(among))
        elif await self._database.value(SQL["any_due"], now):
            rows = await self._database.write(SQL["take"], now, limit, until)
        else:
            return []
        return [one for _, one in sorted(_taken(rows), key=lambda pair: (pair[0], pair[1].key))]

    async def waiting_users(self, after: UserId, limit: int) -> Sequence[UserId]:
        """See the port."""
        return [row[0] for row in await self._database.fetch(SQL["waiting_users"], self._clock.now(), after, limit)]

    async def take_calls(self, user_id: UserId, limit: int, lease_s: float) -> Sequence[Delivery]:
        """See the port."""
        now = self._clock.now()
        rows = await self._database.write(SQL["take_calls"], now, limit, later(now, lease_s), user_id)
        return sorted((one for _, one in _taken(rows)), key=lambda one: one.key)

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.execute(SQL["done"], *_keys(deliveries), self._clock.now())

    async def retry(self, delivery: Delivery, delay_s: float, error: str) -> None:
        """See the port."""
        due_at = later(self._clock.now(), delay_s)
        await self._database.execute(SQL["retry"], delivery.notification.id, str(delivery.channel), due_at, error)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.execute(SQL["give_back"], *_keys(deliveries), self._clock.now())

    async def bury(self, delivery: Delivery, error: str) -> None:
        """See the port."""
        now = self._clock.now()
        await self._database.execute(SQL["bury"], delivery.notification.id, str(delivery.channel), now, error)

    async def revive(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.execute(SQL["revive"], *_keys(deliveries), self._clock.now())

    async def purge(self, before: Timestamp) -> int:
        """See the port."""
        return await self._database.execute(SQL["purge"], before)


def _taken(rows: Sequence[Any]) -> list[tuple[Timestamp, Delivery]]:
    """Each with when it was due."""
    return [(row[3], Delivery(channel=Channel(row[1]), notification=_decode(row[0]), attempts=row[2])) for row in rows]


def _keys(deliveries: Sequence[Delivery]) -> tuple[list[int], list[str]]:
    return [one.notification.id for one in deliveries], [str(one.channel) for one in deliveries]

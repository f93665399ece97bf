"""The delivery queue on PostgreSQL."""

from collections.abc import Sequence

import msgspec

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.domain.deliveries import Delivery
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
        await self._database.execute(SQL["put"], *_keys(deliveries), told, self._clock.now())

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
        taken = [
            (row[3], Delivery(channel=Channel(row[1]), notification=_decode(row[0]), attempts=row[2])) for row in rows
        ]
        return [one for _, one in sorted(taken, key=lambda pair: (pair[0], pair[1].key))]

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.execute(SQL["done"], *_keys(deliveries), self._clock.now())

    async def retry(self, delivery: Delivery, delay_s: float, error: str) -> None:
        """See the port."""
        due_at = later(self._clock.now(), delay_s)
        await self._database.execute(SQL["retry"], delivery.notification.id, str(delivery.channel), due_at, error)

    async def bury(self, delivery: Delivery, error: str) -> None:
        """See the port."""
        now = self._clock.now()
        await self._database.execute(SQL["bury"], delivery.notification.id, str(delivery.channel), now, error)

    async def revive(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.execute(SQL["revive"], *_keys(deliveries), self._clock.now())

    async def waiting(self) -> int:
        """See the port."""
        return int(await self._database.value(SQL["waiting"]))

    async def purge(self, before: Timestamp) -> int:
        """See the port."""
        return await self._database.execute(SQL["purge"], before)


def _keys(deliveries: Sequence[Delivery]) -> tuple[list[int], list[str]]:
    return [one.notification.id for one in deliveries], [str(one.channel) for one in deliveries]

"""The delivery queue on SQLite."""

from collections.abc import Sequence

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain.deliveries import Delivery
from tasktide.domain.notifications import Channel, Notification
from tasktide.domain.times import Timestamp, later
from tasktide.ports.clock import Clock

SQL = resources.statements(__package__, "jobs")

_decode = msgspec.json.Decoder(list[tuple[Notification, Channel, int]]).decode


class SqliteJobs:
    """`ports.jobs.Jobs` on the table `deliveries`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        rows = _text([(delivery.notification, delivery.channel) for delivery in deliveries])
        await self._database.run(lambda tx: tx.execute(SQL["put"], (rows, self._clock.now())))

    async def take(self, limit: int, lease_s: float, among: Sequence[Delivery] | None = None) -> Sequence[Delivery]:
        """See the port."""
        now = self._clock.now()
        keys = None if among is None else _keys(among)
        if not await self._database.read(lambda tx: tx.value(SQL["any_due"], (now,))):
            return []

        def work(transaction: Transaction) -> list[Delivery]:
            found = _decode(transaction.value(SQL["due"], (now, limit, keys)))
            taken = [Delivery(channel=channel, notification=told, attempts=n) for told, channel, n in found]
            transaction.execute(SQL["lease"], (_keys(taken), later(now, lease_s)))
            return taken

        return await self._database.run(work)

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.run(lambda tx: tx.execute(SQL["done"], (_keys(deliveries), self._clock.now())))

    async def retry(self, delivery: Delivery, delay_s: float, error: str) -> None:
        """See the port."""
        row = (*delivery.key, later(self._clock.now(), delay_s), error)
        await self._database.run(lambda tx: tx.execute(SQL["retry"], row))

    async def bury(self, delivery: Delivery, error: str) -> None:
        """See the port."""
        row = (*delivery.key, self._clock.now(), error)
        await self._database.run(lambda tx: tx.execute(SQL["bury"], row))

    async def revive(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        row = (_keys(deliveries), self._clock.now())
        await self._database.run(lambda tx: tx.execute(SQL["revive"], row))

    async def waiting(self) -> int:
        """See the port."""
        return int(await self._database.read(lambda tx: tx.value(SQL["waiting"])))

    async def purge(self, before: Timestamp) -> int:
        """See the port."""
        return await self._database.run(lambda tx: tx.execute(SQL["purge"], (before,)).rowcount)


def _keys(deliveries: Sequence[Delivery]) -> str:
    return _text([delivery.key for delivery in deliveries])


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def release_leases(database: Database, clock: Clock) -> None:
    """Make due at once what a former process had leased; for the only process on the file, at its start."""
    await database.run(lambda tx: tx.execute(SQL["release"], (clock.now(),)))

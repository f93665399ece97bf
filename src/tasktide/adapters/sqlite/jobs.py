"""The delivery queue on SQLite."""

from collections.abc import Sequence

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain.deliveries import Delivery
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel, Notification
from tasktide.domain.times import Timestamp, later
from tasktide.ports.clock import Clock

SQL = resources.statements(__package__, "jobs")

_decode = msgspec.json.Decoder(list[tuple[Notification, Channel, int]]).decode
_decode_users = msgspec.json.Decoder(list[UserId]).decode


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
            return _leased(transaction, transaction.value(SQL["due"], (now, limit, keys)), later(now, lease_s))

        return await self._database.run(work)

    async def waiting_users(self, after: UserId, limit: int) -> Sequence[UserId]:
        """See the port."""
        row = (self._clock.now(), after, limit)
        return _decode_users(await self._database.read(lambda tx: tx.value(SQL["waiting_users"], row)))

    async def take_calls(self, user_id: UserId, limit: int, lease_s: float) -> Sequence[Delivery]:
        """See the port."""
        now = self._clock.now()

        def work(transaction: Transaction) -> list[Delivery]:
            return _leased(transaction, transaction.value(SQL["calls"], (now, user_id, limit)), later(now, lease_s))

        return await self._database.run(work)

    async def done(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.run(lambda tx: tx.execute(SQL["done"], (_keys(deliveries), self._clock.now())))

    async def retry(self, delivery: Delivery, delay_s: float, error: str) -> None:
        """See the port."""
        row = (*delivery.key, later(self._clock.now(), delay_s), error)
        await self._database.run(lambda tx: tx.execute(SQL["retry"], row))

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._database.run(lambda tx: tx.execute(SQL["give_back"], (_keys(deliveries), self._clock.now())))

    async def bury(self, delivery: Delivery, error: str) -> None:
        """See the port."""
        row = (*delivery.key, self._clock.now(), error)
        await self._database.run(lambda tx: tx.execute(SQL["bury"], row))

    async def revive(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        row = (_keys(deliveries), self._clock.now())
        await self._database.run(lambda tx: tx.execute(SQL["revive"], row))

    async def purge(self, before: Timestamp) -> int:
        """See the port."""
        return await self._database.run(lambda tx: tx.execute(SQL["purge"], (before,)).rowcount)


def _leased(transaction: Transaction, found: str, until: Timestamp) -> list[Delivery]:
    rows = _decode(found)
    taken = [Delivery(channel=channel, notification=told, attempts=attempts) for told, channel, attempts in rows]
    if taken:
        transaction.execute(SQL["lease"], (_keys(taken), until))
    return taken


def _keys(deliveries: Sequence[Delivery]) -> str:
    return _text([delivery.key for delivery in deliveries])


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def release_leases(database: Database, clock: Clock) -> None:
    """Make due at once what a former process had leased; for the only process on the file, at its start."""
    await database.run(lambda tx: tx.execute(SQL["release"], (clock.now(),)))

"""Webhooks on SQLite."""

from collections.abc import Collection

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain.ids import UserId
from tasktide.domain.webhooks import Webhook

SQL = resources.statements(__package__, "webhooks")

_decode = msgspec.json.Decoder(list[tuple[UserId, Webhook]]).decode


class SqliteWebhooks:
    """`ports.webhooks.WebhookStore` on the table `webhooks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_ids: Collection[UserId]) -> dict[UserId, Webhook]:
        """See the port."""
        return dict(_decode(await self._database.read(lambda tx: tx.value(SQL["get"], (_ids(user_ids),)))))

    async def put(self, user_id: UserId, webhook: Webhook) -> Webhook:
        """See the port."""
        row = (user_id, webhook.url, webhook.secret, webhook.created_at)

        def work(transaction: Transaction) -> str:
            transaction.execute(SQL["put"], row)
            return str(transaction.value(SQL["get"], (_ids([user_id]),)))

        return dict(_decode(await self._database.run(work)))[user_id]

    async def remove(self, user_id: UserId) -> bool:
        """See the port."""
        return await self._database.run(lambda tx: tx.execute(SQL["remove"], (user_id,)).rowcount) > 0


def _ids(user_ids: Collection[UserId]) -> str:
    return msgspec.json.encode(list(user_ids)).decode()

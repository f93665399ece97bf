"""Webhooks on PostgreSQL."""

from collections.abc import Collection, Sequence
from typing import Any

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.domain.ids import UserId
from tasktide.domain.webhooks import Webhook

SQL = resources.statements(__package__, "webhooks")


class PostgresWebhooks:
    """`ports.webhooks.WebhookStore` on the table `webhooks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_ids: Collection[UserId]) -> dict[UserId, Webhook]:
        """See the port."""
        return _webhooks(await self._database.fetch(SQL["get"], list(user_ids)))

    async def put(self, user_id: UserId, webhook: Webhook) -> Webhook:
        """See the port."""
        row = (user_id, webhook.url, webhook.secret, webhook.created_at)
        return _webhooks(await self._database.write(SQL["put"], *row))[user_id]

    async def remove(self, user_id: UserId) -> bool:
        """See the port."""
        return await self._database.execute(SQL["remove"], user_id) > 0


def _webhooks(rows: Sequence[Any]) -> dict[UserId, Webhook]:
    return {
        UserId(user_id): Webhook(url=url, secret=secret, created_at=created_at)
        for user_id, url, secret, created_at in rows
    }

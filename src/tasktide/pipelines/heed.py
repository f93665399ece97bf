"""Keeps what a gateway remembers of accounts in step with the other gateways."""

from tasktide.pipelines.service import Service
from tasktide.ports.push import Push
from tasktide.ports.stopping import Stopping
from tasktide.usecases.users import ACCOUNTS, Users


class Heed(Service):
    """Hears of every session that ends and every account that changes, wherever that is done."""

    def __init__(self, *, users: Users, push: Push, until: Stopping) -> None:
        super().__init__("heed")
        self._users = users
        self._push = push
        self._until = until

    async def work(self) -> None:
        """Until asked to stop."""
        subscription = await self._push.subscribe([ACCOUNTS, self._until.channel])
        try:
            while not (self.stopping or self._until.is_announced):
                messages = await subscription.read()
                if messages is None:
                    self._users.forget("")
                    continue
                for message in messages:
                    if message.channel == ACCOUNTS:
                        self._users.forget(message.body.decode())
        finally:
            subscription.close()

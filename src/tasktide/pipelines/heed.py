"""Keeps what a gateway remembers of accounts in step with the other gateways."""

from tasktide.pipelines.service import Service
from tasktide.ports.push import Push
from tasktide.usecases.users import ACCOUNTS, Users


class Heed(Service):
    """Hears of every session that ends and every account that changes, wherever that is done."""

    def __init__(self, *, users: Users, push: Push, until: str) -> None:
        super().__init__("heed")
        self._users = users
        self._push = push
        self._until = until  # the channel on which the end of the process is announced

    async def work(self) -> None:
        """Until asked to stop."""
        subscription = await self._push.subscribe([ACCOUNTS, self._until])
        try:
            while not self.stopping:
                messages = await subscription.read()
                if messages is None:
                    self._users.forget("")
                    continue
                for message in messages:
                    if message.channel == self._until:
                        return
                    self._users.forget(message.body.decode())
        finally:
            subscription.close()

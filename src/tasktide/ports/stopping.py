"""Word that this process is about to stop."""

import secrets

from tasktide.ports.push import Message, Push


class Stopping:
    """Told by push to those who wait for news at that moment; who comes later, or missed it, looks.

    Whoever would wait for more than a moment listens to `channel` too, and does not wait on once `is_announced`.
    """

    def __init__(self, push: Push) -> None:
        self._push = push
        self.channel = f"process:{secrets.token_hex(8)}"
        self.is_announced = False

    async def announce(self) -> None:
        """Send those home who wait: what they wait for may take longer than the process has."""
        self.is_announced = True
        await self._push.publish([Message(self.channel, b"")])

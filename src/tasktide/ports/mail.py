"""Outgoing mail."""

from typing import Protocol

from tasktide.domain.deliveries import Mail


class Mailer(Protocol):
    """Hands mail to the outside world."""

    async def send(self, mail: Mail) -> None:
        """Return when the mail has been taken over; Unavailable when to try again, Refused when that is of no use."""
        ...

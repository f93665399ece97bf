"""Records that a store has to say, on their way to a log that does not share its transactions."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from tasktide.ports.log import Record


class Outgoing(NamedTuple):
    """Records in the order of their commits, and what the outbox knows them by."""

    token: Any
    records: Sequence[Record]


class Outbox(Protocol):
    """One store's outgoing records. Of several relays one holds it at a time; the others wait for it."""

    @property
    def name(self) -> str:
        """What it is called in metrics and logs."""
        ...

    async def take(self, limit: int, wait_s: float) -> Outgoing | None:
        """The oldest records, at most `limit`, waiting for the first; None when there was nothing for us.

        They are given again until `done` says otherwise: a relay that dies in between repeats them, in order.
        """
        ...

    async def done(self, outgoing: Outgoing) -> None:
        """The log has these."""
        ...

    async def release(self) -> None:
        """Let another relay have it."""
        ...

"""Identifiers of new things."""

from typing import Protocol


class Ids(Protocol):
    """Hands out increasing integers per name ("tasks", "users", ...), starting at 1.

    No number is handed out twice, whatever is killed and whichever process asks. Numbers may be skipped.
    Within one process a later call gets higher numbers.
    """

    async def take(self, name: str, count: int = 1) -> range:
        """The next `count` numbers. Unavailable when the lease cannot be renewed."""
        ...

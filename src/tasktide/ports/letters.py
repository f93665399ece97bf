"""Dead letters."""

from collections.abc import Sequence
from typing import Protocol

from tasktide.domain.letters import DeadLetter


class Letters(Protocol):
    """Records set aside, kept until somebody replays or drops them."""

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters, durable when it returns; the same record of the same pipeline is kept once."""
        ...

    async def find(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Letters by ascending id, those after a given one."""
        ...

    async def get(self, letter_id: int) -> DeadLetter | None:
        """One letter."""
        ...

    async def replay(self, letter_id: int) -> bool:
        """Append the record to its topic again and forget the letter, together; False when there is none."""
        ...

    async def drop(self, letter_id: int) -> bool:
        """Forget the letter; False when there is none."""
        ...

"""Dead letters for operators."""

from collections.abc import Sequence

from tasktide.domain import access
from tasktide.domain.access import Action
from tasktide.domain.errors import NotFound
from tasktide.domain.letters import DeadLetter
from tasktide.domain.users import Actor
from tasktide.ports.letters import Letters


class DeadLetters:
    """See them, send them through again, or drop them."""

    def __init__(self, *, letters: Letters) -> None:
        self._letters = letters

    async def find(self, actor: Actor, after: int, limit: int) -> Sequence[DeadLetter]:
        """Letters by ascending id, those after a given one."""
        access.check(actor, Action.LETTERS)
        return await self._letters.find(after, limit)

    async def get(self, actor: Actor, letter_id: int) -> DeadLetter:
        """One letter."""
        access.check(actor, Action.LETTERS)
        letter = await self._letters.get(letter_id)
        if letter is None:
            raise _not_found(letter_id)
        return letter

    async def replay(self, actor: Actor, letter_id: int) -> None:
        """Put the record back onto its topic; every pipeline of the topic reads it again."""
        access.check(actor, Action.LETTERS)
        if not await self._letters.replay(letter_id):
            raise _not_found(letter_id)

    async def drop(self, actor: Actor, letter_id: int) -> None:
        """Forget the letter for good."""
        access.check(actor, Action.LETTERS)
        if not await self._letters.drop(letter_id):
            raise _not_found(letter_id)


def _not_found(letter_id: int) -> NotFound:
    return NotFound(f"There is no dead letter {letter_id}.")

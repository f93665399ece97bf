"""Dead letters on PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.domain.letters import DeadLetter
from tasktide.ports.log import Log, Record

SQL = resources.statements(__package__, "letters")
_COLUMNS = ("id", "topic", "pipeline", "position", "key", "value", "reason", "attempts", "parked_at")


class PostgresLetters:
    """`ports.letters.Letters` on the table `dead_letters`."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See the port."""
        rows = [tuple(_clean(getattr(letter, name)) for name in _COLUMNS[1:]) for letter in letters]
        await self._database.execute(SQL["park"], *zip(*rows, strict=True))

    async def find(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """See the port."""
        return [_letter(row) for row in await self._database.fetch(SQL["find"], after, limit)]

    async def get(self, letter_id: int) -> DeadLetter | None:
        """See the port."""
        found = await self._database.fetch(SQL["get"], letter_id)
        return _letter(found[0]) if found else None

    async def replay(self, letter_id: int) -> bool:
        """See the port."""
        letter = await self.get(letter_id)
        if letter is None:
            return False
        # First onto the topic, then gone: a crash in between repeats a record, which is harmless.
        await self._log.append([Record(letter.topic, letter.key, letter.value)])
        return await self.drop(letter_id)

    async def drop(self, letter_id: int) -> bool:
        """See the port."""
        return await self._database.execute(SQL["drop"], letter_id) > 0


def _clean(value: Any) -> Any:
    """What is bad about a record may be in its key or in the complaint: text here holds no NUL."""
    return value.replace("\x00", "\N{SYMBOL FOR NULL}") if isinstance(value, str) else value


def _letter(row: Any) -> DeadLetter:
    return DeadLetter(**dict(zip(_COLUMNS, row, strict=True)))

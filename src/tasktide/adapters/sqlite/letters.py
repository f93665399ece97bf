"""Dead letters on SQLite."""

from collections.abc import Sequence
from typing import Any

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.domain.letters import DeadLetter
from tasktide.ports.log import Record

SQL = resources.statements(__package__, "letters")
_COLUMNS = ("id", "topic", "pipeline", "position", "key", "value", "reason", "attempts", "parked_at")


class SqliteLetters:
    """`ports.letters.Letters` on the table `dead_letters`."""

    def __init__(self, database: Database, log: SqliteLog) -> None:
        self._database = database
        self._log = log

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See the port."""
        rows = [tuple(getattr(letter, name) for name in _COLUMNS[1:]) for letter in letters]

        def work(transaction: Transaction) -> None:
            for row in rows:
                transaction.execute(SQL["park"], row)

        await self._database.run(work)

    async def find(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """See the port."""
        rows = await self._database.read(lambda tx: tx.execute(SQL["find"], (after, limit)).fetchall())
        return [_letter(row) for row in rows]

    async def get(self, letter_id: int) -> DeadLetter | None:
        """See the port."""
        return await self._database.read(lambda tx: _get(tx, letter_id))

    async def replay(self, letter_id: int) -> bool:
        """See the port."""
        letter = await self.get(letter_id)
        if letter is None:
            return False
        record = Record(letter.topic, letter.key, letter.value)
        if self._log.home(letter.topic) is not self._database:
            # First onto the topic, then gone: a crash in between repeats a record, which is harmless.
            await self._log.append([record])
            return await self.drop(letter_id)

        def work(transaction: Transaction) -> bool:
            if not _drop(transaction, letter_id):
                return False
            self._log.write(transaction, [record])
            return True

        return await self._database.run(work)

    async def drop(self, letter_id: int) -> bool:
        """See the port."""
        return await self._database.run(lambda tx: _drop(tx, letter_id))


def _drop(transaction: Transaction, letter_id: int) -> bool:
    transaction.execute(SQL["note"], (letter_id,))
    return transaction.execute(SQL["drop"], (letter_id,)).rowcount > 0


def _get(transaction: Transaction, letter_id: int) -> DeadLetter | None:
    row = transaction.execute(SQL["get"], (letter_id,)).fetchone()
    return None if row is None else _letter(row)


def _letter(row: Sequence[Any]) -> DeadLetter:
    return DeadLetter(**dict(zip(_COLUMNS, row, strict=True)))

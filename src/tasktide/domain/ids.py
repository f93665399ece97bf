"""Identifiers: integers below 2^53, so that every JSON reader holds them exactly."""

from typing import NewType

TaskId = NewType("TaskId", int)
UserId = NewType("UserId", int)
NotificationId = NewType("NotificationId", int)

MAX_ID = 2**53 - 1


def parse(text: str) -> int | None:
    """The id that `text` spells, or None when no id can be spelled so (0, negative, words, too large, 007)."""
    if not (text.isascii() and text.isdigit()) or text[0] == "0" or len(text) > len(str(MAX_ID)):
        return None
    number = int(text)
    return number if 0 < number <= MAX_ID else None


class Blocks:
    """Numbers leased in blocks, handed out in ascending order per name. One block is in use, another may wait."""

    def __init__(self) -> None:
        # The next free number of a name, and the end of its block.
        self._free: dict[str, tuple[int, int]] = {}
        self._waiting: dict[str, range] = {}

    def cut(self, name: str, count: int) -> range | None:
        """The next `count` numbers of a name in a row; None when its blocks do not have them."""
        first, end = self._free.get(name, (0, 0))
        while end - first < count:
            if not self._go_on(name):
                return None
            first, end = self._free[name]
        self._free[name] = first + count, end
        return range(first, first + count)

    def has(self, name: str) -> bool:
        """Whether one number of a name is left."""
        first, end = self._free.get(name, (0, 0))
        return first < end or name in self._waiting

    def is_low(self, name: str, few: int) -> bool:
        """Whether fewer than `few` numbers of a name are left, with no block behind them."""
        first, end = self._free.get(name, (0, 0))
        return end - first < few and name not in self._waiting

    def add(self, name: str, block: range) -> None:
        """Have another block wait; one that waits already is in use then."""
        self._go_on(name)
        self._waiting[name] = block

    def _go_on(self, name: str) -> bool:
        """Use the block that waits; what is left of the last one goes on into it, unless others leased in between."""
        block = self._waiting.pop(name, None)
        if block is None:
            return False
        left_from, left_to = self._free.get(name, (0, 0))
        self._free[name] = left_from if left_from < left_to == block.start else block.start, block.stop
        return True

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
    """Numbers leased in blocks, handed out in ascending order per name."""

    def __init__(self) -> None:
        # The next free number of a name, and the end of its block.
        self._free: dict[str, tuple[int, int]] = {}

    def cut(self, name: str, count: int) -> range | None:
        """The next `count` numbers of a name; None when its block has fewer left."""
        first, end = self._free.get(name, (0, 0))
        if end - first < count:
            return None
        self._free[name] = first + count, end
        return range(first, first + count)

    def has(self, name: str) -> bool:
        """Whether one number of a name is left."""
        first, end = self._free.get(name, (0, 0))
        return first < end

    def add(self, name: str, block: range) -> None:
        """Go on with another block; what is left of the last one goes on into it, unless others leased in between."""
        left_from, left_to = self._free.get(name, (0, 0))
        self._free[name] = left_from if left_from < left_to == block.start else block.start, block.stop

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

"""Rules for text that people write."""

import re

from tasktide.domain.errors import FieldError

# None of these is printable, which is quicker to see.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_line(field: str, value: str, longest: int) -> list[FieldError]:
    """What is wrong with one line of text: empty, too long, control characters in it, or nothing else."""
    if not value.strip() or len(value) > longest:
        return [FieldError(field, f"must be 1 to {longest} characters")]
    if not value.isprintable():
        if _CONTROL.search(value):
            return [FieldError(field, "must not contain control characters")]
        if not any(one.isprintable() and not one.isspace() for one in value):
            return [FieldError(field, "must have something that can be seen")]
    return []


def check_body(field: str, value: str, longest: int) -> list[FieldError]:
    """What is wrong with text of many lines, which may be empty."""
    if len(value) > longest:
        return [FieldError(field, f"must be at most {longest} characters")]
    if not value.isprintable() and _CONTROL_BUT_LINES.search(value):
        return [FieldError(field, "must not contain control characters")]
    return []


def shorten(value: str, longest: int) -> str:
    """The text, cut with an ellipsis when it is longer than may be stored."""
    return value if len(value) <= longest else value[: longest - 1] + "…"

"""Points in time as RFC 3339 text in UTC with milliseconds: fixed width, so text order is time order."""

import re
from datetime import UTC, datetime
from typing import NewType

Timestamp = NewType("Timestamp", str)

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

EPOCH = Timestamp("1970-01-01T00:00:00.000Z")
NEVER = Timestamp("9999-12-31T23:59:59.999Z")


def at(epoch_ms: int) -> Timestamp:
    """The timestamp of a Unix time in milliseconds."""
    seconds, millis = divmod(epoch_ms, 1000)
    return Timestamp(f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z")


def to_datetime(timestamp: Timestamp) -> datetime:
    """The same moment as Python's own type, in UTC."""
    return datetime.fromisoformat(timestamp)


def epoch_ms(timestamp: Timestamp) -> int:
    """Unix time in milliseconds."""
    moment = datetime.fromisoformat(timestamp)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def later(timestamp: Timestamp, seconds: float) -> Timestamp:
    """The timestamp so many seconds after another (before it, when negative)."""
    return at(epoch_ms(timestamp) + round(seconds * 1000))


def parse(text: str) -> Timestamp:
    """Any RFC 3339 time brought to the one form; ValueError when there is no offset or no such day."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time such as 2026-11-20T09:30:00Z")
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError as wrong:
        raise ValueError(f"is no time: {wrong}") from None
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None
    if utc.year < 1000:  # noqa: PLR2004 - strftime does not pad earlier years, and the width must hold
        raise ValueError("is out of range")
    return Timestamp(f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z")

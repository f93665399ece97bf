"""Dead letters: records set aside because they could not be handled, kept until replayed or dropped."""

from msgspec import Struct

from tasktide.domain.times import Timestamp


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One record with the reason why nobody could handle it. `value` is what the log held, byte for byte."""

    id: int = 0
    topic: str
    pipeline: str
    position: int
    key: str
    value: bytes
    reason: str
    attempts: int
    parked_at: Timestamp

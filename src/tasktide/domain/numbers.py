"""What numbers JSON can carry."""

import math
from typing import Any

import msgspec
from msgspec import Raw


def is_finite(value: Any) -> bool:
    """Whether no number within a value is infinite or none at all, keys and fields of objects included.

    TypeError for what has no form in JSON, msgspec.DecodeError for raw text that is not JSON.
    """
    if isinstance(value, str | int | None):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(is_finite(key) and is_finite(one) for key, one in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(is_finite(one) for one in value)
    if isinstance(value, bytes | bytearray | memoryview):
        return True
    return is_finite(msgspec.json.decode(value) if isinstance(value, Raw) else msgspec.to_builtins(value))

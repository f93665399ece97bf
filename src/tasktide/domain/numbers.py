"""What numbers JSON can carry."""

import math
from typing import Any


def is_finite(value: Any) -> bool:
    """Whether no number within a value is infinite or none at all."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(is_finite(one) for one in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return all(is_finite(one) for one in value)
    return True

"""When to try again: exponential backoff with jitter."""

from collections.abc import Sequence
from random import Random

BASE_S = 1.0
CAP_S = 300.0
# One mail server, which is the operator's; and the receivers of webhooks, who have a night to mend theirs.
MAIL_DELAYS_S = (1.0, 5.0, 30.0, 120.0, 600.0)
CALL_DELAYS_S = (5.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 43_200.0)


def backoff_s(attempt: int, random: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> float:
    """Seconds to wait after failed attempt 1, 2, ...: doubling, capped, the upper half at random.

    "Equal jitter" of Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015).
    """
    full = min(cap_s, base_s * 2.0 ** min(attempt - 1, 32))
    return full / 2 + random.uniform(0, full / 2)


def scheduled_s(attempt: int, random: Random, delays_s: Sequence[float]) -> float | None:
    """Seconds to wait after failed delivery 1, 2, ..., up to a tenth more at random; None after the last."""
    if attempt > len(delays_s):
        return None
    return delays_s[attempt - 1] * (1 + random.uniform(0, 0.1))

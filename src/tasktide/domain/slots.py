"""Slots: the fixed buckets that tasks and inboxes are dealt into, and which shard should hold each."""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b

SLOTS = 1_024
# Points of each shard on the ring: with three shards, the largest share is within 10 % of the smallest.
POINTS = 256
# The 64-bit finalizer of MurmurHash3 (Austin Appleby): neighbouring ids land in unrelated slots.
_MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
_MASK = 2**64 - 1


def slot_of(number: int) -> int:
    """The slot of a user, or of a task without a performer."""
    number = ((number ^ (number >> 33)) * _MIX[0]) & _MASK
    number = ((number ^ (number >> 33)) * _MIX[1]) & _MASK
    return (number ^ (number >> 33)) % SLOTS


def ring(shards: Sequence[str]) -> list[str]:
    """The shard for each slot, by consistent hashing (Karger et al., 1997): another shard takes only its own share."""
    points = sorted((_point(f"{shard}#{n}"), shard) for shard in shards for n in range(POINTS))
    heights = [height for height, _ in points]
    return [points[bisect_right(heights, _point(f"slot {slot}")) % len(points)][1] for slot in range(SLOTS)]


def _point(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")

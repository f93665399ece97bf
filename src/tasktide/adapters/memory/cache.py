"""The cache in this process's memory."""

from collections import OrderedDict
from collections.abc import Collection, Sequence

from tasktide.ports.cache import Snapshot, spread
from tasktide.ports.clock import Clock

# Entries and bytes of bodies kept; the least recently used go first.
ENTRIES = 100_000
BYTES = 64 * 1024 * 1024


class MemoryCache:
    """`ports.cache.Cache` as a bounded LRU map."""

    def __init__(self, clock: Clock, entries: int = ENTRIES, size_bytes: int = BYTES) -> None:
        self._clock = clock
        self._most = entries
        self._most_bytes = size_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[int, float, bytes]] = OrderedDict()

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """See the port."""
        now = self._clock.monotonic()
        found = {}
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                continue
            if entry[1] <= now:
                self._forget(key)
                continue
            self._entries.move_to_end(key)
            found[key] = entry[2]
        return found

    async def put(self, snapshots: Sequence[Snapshot]) -> None:
        """See the port."""
        self.begin_put(snapshots)

    def begin_put(self, snapshots: Sequence[Snapshot]) -> None:
        """See the port."""
        now = self._clock.monotonic()
        for snapshot in snapshots:
            key, version, body = snapshot.key, snapshot.version, snapshot.body
            known = self._entries.get(key)
            if known is not None:
                if known[0] > version and known[1] > now:
                    continue
                self._forget(key)
            self._entries[key] = (version, now + spread(snapshot.ttl_s), body)
            self._bytes += len(body)
        while len(self._entries) > self._most or self._bytes > self._most_bytes:
            self._forget(next(iter(self._entries)))

    async def drop(self, keys: Collection[str]) -> None:
        """See the port."""
        for key in keys:
            self._forget(key)

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry[2])

"""What a load is made of: which requests, how fast, from whom."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from urllib.parse import urlsplit

# Every item carries the mark of its load, so that of two at once each counts its own, and the moment it was due, in
# microseconds of the driver's monotonic clock, so that a frame tells by itself how long its item was under way.
STAMP_DIGITS = 16
_BLANK = b"0" * STAMP_DIGITS


class Kind(StrEnum):
    """What is sent."""

    TASKS = "tasks"
    JOBS = "jobs"
    NOTIFICATIONS = "notifications"
    READS = "reads"


@dataclass(frozen=True)
class Account:
    """Somebody on whose behalf the driver sends and listens."""

    user_id: int
    token: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`rate` is items a second over all connections; 0 sends the next request when the last one is answered."""

    url: str
    kind: Kind = Kind.TASKS
    rate: float = 0.0
    connections: int = 64
    sockets: int = 64
    seconds: float = 10.0
    batch: int = 1
    mark: bytes = field(default_factory=lambda: b"load %b " % secrets.token_hex(4).encode())

    @property
    def host(self) -> str:
        """The host to connect to."""
        return urlsplit(self.url).hostname or "localhost"

    @property
    def port(self) -> int:
        """The port to connect to."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_tls(self) -> bool:
        """Whether the server is spoken to over TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def pipeline(self) -> str:
        """The pipeline whose counter tells how much is stored."""
        return "inbox" if self.kind is Kind.NOTIFICATIONS else "ingest"


class Requests:
    """Ready-made requests of one account; only the stamps are put in when one is sent."""

    def __init__(self, plan: Plan, sender: Account, listeners: Sequence[Account], task_ids: Sequence[int] = ()) -> None:
        self._plan = plan
        self._sender = sender
        self._listeners = listeners
        self._gets = [self._get(task_id) for task_id in task_ids]
        self._templates = [] if task_ids else self._posts()
        self._turn = count()

    def next(self, due_us: int) -> bytes:
        """The next request, its items due at that moment."""
        turn = next(self._turn)
        if self._gets:
            return self._gets[turn % len(self._gets)]
        return self._templates[turn % len(self._templates)].replace(_BLANK, b"%016d" % due_us)

    def _posts(self) -> list[bytes]:
        # Consecutive requests go to different listeners, so that every socket hears its share.
        item = {Kind.TASKS: self._task, Kind.JOBS: self._job}.get(self._plan.kind, self._message)
        size = self._plan.batch
        start = self._listeners.index(self._sender) + 1 if self._sender in self._listeners else 0
        ring = self._listeners[start:] + self._listeners[:start]  # type: ignore[operator]
        others = [one for one in ring if one is not self._sender] or list(ring)
        if size == 1:
            return [self._post(item(one)) for one in others]
        starts = range(0, len(others), size) if size < len(others) else range(1)
        return [
            self._post(b"[%b]" % b",".join(item(others[(first + i) % len(others)]) for i in range(size)))
            for first in starts
        ]

    def _post(self, body: bytes) -> bytes:
        path = "/notifications" if self._plan.kind is Kind.NOTIFICATIONS else "/tasks"
        if self._plan.batch > 1:
            path += "/batch"
        head = f"POST {path} HTTP/1.1\r\n{self._common()}content-type: application/json\r\n"
        return b"%bcontent-length: %d\r\n\r\n%b" % (head.encode(), len(body), body)

    def _get(self, task_id: int) -> bytes:
        return f"GET /tasks/{task_id} HTTP/1.1\r\n{self._common()}\r\n".encode()

    def _common(self) -> str:
        return f"host: {self._plan.host}:{self._plan.port}\r\nauthorization: Bearer {self._sender.token}\r\n"

    def _task(self, listener: Account) -> bytes:
        return (
            b'{"title":"%b%b","description":"Water the plants on the second floor.",'
            b'"performer_id":%d,"priority":5}' % (self._plan.mark, _BLANK, listener.user_id)
        )

    def _job(self, _listener: Account) -> bytes:
        return b'{"title":"%b%b","handler":"reverse","payload":"Hello world!"}' % (self._plan.mark, _BLANK)

    def _message(self, listener: Account) -> bytes:
        return b'{"user_ids":[%d],"message":"%b%b"}' % (listener.user_id, self._plan.mark, _BLANK)


def probe(task_number: int) -> bytes:
    """A task to be read later."""
    return b'{"title":"load probe %d","description":"Water the plants on the second floor."}' % task_number


def senders(accounts: Sequence[Account], connections: int) -> Iterator[Account]:
    """An account for each connection, in turn."""
    for index in range(connections):
        yield accounts[index % len(accounts)]

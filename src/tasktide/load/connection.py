"""One keep-alive HTTP/1.1 connection that has one request under way at a time."""

import asyncio
from collections.abc import Callable

import httptools

# Of the body of an answer, what is kept: enough for a problem; all of it when answers are read.
EXCERPT = 1_000


class Connection(asyncio.Protocol):
    """Calls `answered(status, body)` for each answer, status 0 when the connection was lost instead.

    A client of its own, because a driver must cost far less than the server it drives: 10 microseconds a request.
    """

    def __init__(self, answered: Callable[["Connection", int, bytes], None], *, whole: bool = False) -> None:
        self._answered = answered
        self._most = None if whole else EXCERPT
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._body: list[bytes] = []
        self.sent_us = 0
        self.is_waiting = False

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None

    def send(self, request: bytes, sent_us: int) -> None:
        """Send a request; its answer is due."""
        self.sent_us = sent_us
        self.is_waiting = True
        assert self._transport is not None  # noqa: S101 - asked for by `is_open`
        self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        if self.is_waiting:
            self.is_waiting = False
            self._answered(self, 0, b"")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        body = b"".join(self._body)[: self._most]
        self._body.clear()
        self.is_waiting = False
        self._answered(self, self._parser.get_status_code(), body)

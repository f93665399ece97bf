"""uvicorn's protocols, with short ways for what comes often: requests seen before, and many frames at once."""

import asyncio
import fcntl
import re
import struct
import termios
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tasktide.interfaces.protocol import FRAMES, WHOLE
from tasktide.interfaces.swift import Swift

# Sets of header lines remembered, and bytes of a head: enough for the connections of a busy server.
HEADS = 4_096
HEAD_BYTES = 2_048
END = b"\r\n\r\n"
# Bytes that may come without completing a head or a piece of a body: header lines, trailers, chunk extensions.
LOOSE_BYTES = 65_536
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b"
)
_TOO_LARGE_PROBLEM = (
    b'{"type":"urn:tasktide:problem:too_large","title":"Request Header Fields Too Large","status":431,'
    b'"detail":"The header lines are longer than %d bytes.","code":"too_large"}' % LOOSE_BYTES
)
# What uvicorn says to whom the parser does not understand, in our words.
_MALFORMED = (
    400,
    b"content-type: application/problem+json\r\n",
    (
        b'{"type":"urn:tasktide:problem:malformed","title":"Bad Request","status":400,'
        b'"detail":"This is no valid HTTP/1.1 request.","code":"malformed"}'
    ),
)
# And to whom it cuts off at its end.
_UNKNOWN = (
    500,
    b"content-type: application/problem+json\r\n",
    (
        b'{"type":"urn:tasktide:problem:internal","title":"Internal Server Error","status":500,'
        b'"detail":"The server stops. The task may have been accepted all the same.","code":"internal"}'
    ),
)
_EXTENSIONS: dict[str, dict[str, Any]] = {WHOLE: {}}
# Header lines with these differ from request to request: they would only push out others.
_PASSING = {
    b"connection",
    b"content-encoding",
    b"expect",
    b"idempotency-key",
    b"proxy-connection",
    b"if-match",
    b"if-none-match",
    b"origin",  # the middleware for other origins puts its headers into the ordinary messages alone
    b"traceparent",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-for",
    b"x-request-id",
}


# Request lines that mean nothing but what they say: no escapes, no query.
_LINE = re.compile(rb"(GET|POST) ((?:/[A-Za-z0-9_-]+)+) HTTP/1\.1\r\n")


class Fields(NamedTuple):
    """What the parser made of the header lines of a request, and how long they say its body is."""

    scope: dict[str, Any]
    length: int


class WholeCycle(RequestResponseCycle):
    """Takes `{"type": "tasktide.whole", "status", "head": bytes, "body": bytes}`: an answer written at once.

    The head is header lines, each with its line end; whoever makes it sees to it that no value holds one.
    """

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        if message["type"] != WHOLE:
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = self.response_complete = True
        self.transport.write(
            _answer(
                message["status"], self.default_headers, message["head"], message["body"], keep_alive=self.keep_alive
            )
        )
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class _Nobody:
    """Whom uvicorn wakes when something comes for a request that has it all."""

    def set(self) -> None:
        """Nothing to do."""


class SwiftCycle:
    """A request that the swift way answers: what uvicorn asks of the one under way, and no more."""

    __slots__ = ("_protocol", "disconnected", "keep_alive", "response_complete")

    message_event = _Nobody()

    def __init__(self, protocol: "HeadProtocol") -> None:
        self._protocol: HeadProtocol | None = protocol
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False

    def respond(self, status: int, head: bytes, body: bytes) -> None:
        """Write the answer, unless the client has gone or got one."""
        protocol, self._protocol = self._protocol, None  # no cycle of references is left behind
        self.response_complete = True
        if protocol is None or self.disconnected or protocol.transport.is_closing():
            return
        protocol.transport.write(
            _answer(status, protocol.server_state.default_headers, head, body, keep_alive=self.keep_alive)
        )
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


def _under_way(descriptor: int) -> int:
    """Bytes that the system holds for a client that has not confirmed them: they move before our own do."""
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4))[0] if descriptor >= 0 else 0


def _answer(status: int, usual: list[tuple[bytes, bytes]], head: bytes, body: bytes, *, keep_alive: bool) -> bytes:
    """A whole answer: `usual` are the server's own headers, `head` lines with their ends."""
    lines = b"".join([b"%b: %b\r\n" % header for header in usual])
    closing = b"" if keep_alive else b"connection: close\r\n"
    return b"%b%b%bcontent-length: %d\r\n%b\r\n%b" % (STATUS_LINE[status], lines, head, len(body), closing, body)


class HeadProtocol(HttpToolsProtocol):
    """Knows header lines again that it has parsed before.

    A client on a kept connection sends the same ones with each request, byte for byte. A request that comes in one
    piece, with a plain request line and header lines that the parser has accepted before, means what they meant
    then: it goes straight to the application. Everything else takes uvicorn's way, from which header lines are learned.
    """

    _known: dict[bytes, Fields] = {}  # noqa: RUF012 - of all connections
    _is_open = False  # in the middle of a message, as the parser sees it
    _waiting_since = 0.0  # for a request, on the loop's clock
    _swift: Swift | None = None
    _unread = 0  # bytes of complete answers that the client has not taken, and since when none of them
    _unread_since = 0.0
    _loose = 0  # bytes since the parser had the last of something

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        cycle: RequestResponseCycle | None = self.cycle
        is_free = not self._is_open and (cycle is None or cycle.response_complete)
        line = _LINE.match(data) if is_free else None
        end = data.find(END, line.end() - 2, HEAD_BYTES) if line else -1
        if line is None or end < 0:
            self._parse(data)
            return
        lines = data[line.end() : end + 4]
        known = self._known.get(lines)
        if known is not None and len(data) == end + 4 + known.length:
            self._unset_keepalive_if_required()
            body = data[end + 4 :]
            if not self._serve_swiftly(line, known, body):
                self._serve(line, known, body)
            return
        self._parse(data)
        if known is None and not self._is_open:
            self._learn(lines, len(data) - end - 4)

    def _parse(self, data: bytes) -> None:
        """As uvicorn does; but the parser keeps a line until it ends, and copies it with each piece that comes."""
        self._loose += len(data)
        super().data_received(data)
        if self._loose <= LOOSE_BYTES or self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(_TOO_LARGE % (len(_TOO_LARGE_PROBLEM), _TOO_LARGE_PROBLEM))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's
        """Refuse what is no HTTP."""
        self.transport.write(
            _answer(_MALFORMED[0], self.server_state.default_headers, *_MALFORMED[1:], keep_alive=False)
        )
        self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has a header line; what is blank at the end of a value does not belong to it (RFC 9110, 5.5)."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The parser has a whole head."""
        self._loose = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """The parser has a piece of a body."""
        self._loose = 0
        super().on_body(body)

    def connection_made(self, transport: Any) -> None:
        """A client came."""
        super().connection_made(transport)
        self._swift = getattr(self.config.app, "swift", None)
        self._waiting_since = self.loop.time()

    def on_response_complete(self) -> None:
        """An answer is out; the next request may come."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def close_if_idle(self, longest_s: float) -> None:
        """Hang up on a client that has not brought a whole head for so long; uvicorn's timer ends at the first byte."""
        cycle: RequestResponseCycle | None = self.cycle
        is_waiting = cycle is None or cycle.response_complete
        if is_waiting and self.loop.time() - self._waiting_since > longest_s and not self.transport.is_closing():
            self.transport.close()

    def abort_if_unread(self, longest_s: float) -> None:
        """Cut a client off that has not taken any of its answer for so long: the rest stands in memory."""
        cycle: RequestResponseCycle | None = self.cycle
        unread = 0
        if cycle is None or cycle.response_complete:
            unread = self.transport.get_write_buffer_size()
        if unread:
            unread += _under_way(self.transport.get_extra_info("socket").fileno())
        if not unread or not self._unread or unread < self._unread:
            self._unread_since = self.loop.time()
        elif self.loop.time() - self._unread_since > longest_s:
            self.transport.abort()
        self._unread = unread

    def on_message_begin(self) -> None:
        """The parser sees the first byte of a message."""
        self._is_open = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The parser has seen the last one."""
        self._is_open = False
        self._loose = 0
        super().on_message_complete()

    def _serve_swiftly(self, line: re.Match[bytes], known: Fields, body: bytes) -> bool:
        swift = self._swift
        if swift is None or self.flow.write_paused or not swift.suits(line[1], line[2], len(body)):
            return False
        before = self.cycle
        self.cycle = cycle = SwiftCycle(self)  # type: ignore[assignment]
        if swift.take(known.scope["header_map"], body, cycle.respond):
            return True
        self.cycle = before
        return False

    def abandon(self) -> None:
        """The server is about to end: say to whom waits for the log that nobody will tell them what came of it.

        Who does not take the answer to any other request is cut off: uvicorn would wait for them.
        """
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            return
        if isinstance(cycle, SwiftCycle):
            cycle.keep_alive = False
            cycle.respond(*_UNKNOWN)
        else:
            self.transport.abort()

    def _serve(self, line: re.Match[bytes], known: Fields, body: bytes) -> None:
        path = line[2]
        self.scope = known.scope | {  # type: ignore[assignment]
            "method": line[1].decode(),
            "path": path.decode(),
            "raw_path": path,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "state": {},
            "whole_body": body,
        }
        self.cycle = cycle = WholeCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        cycle.body = bytearray(body)
        cycle.more_body = False
        cycle.message_event.set()
        self._start_asgi_task(cycle, self.app)

    def _learn(self, lines: bytes, length: int) -> None:
        scope: Any = self.scope
        # A message is learned from only if it was these lines and as many bytes as they announce, and nothing else.
        cycle: RequestResponseCycle | None = self.cycle  # None: the connection became a WebSocket
        if cycle is None or not cycle.keep_alive:
            return
        if not scope or scope["http_version"] != "1.1" or scope["root_path"]:
            return
        headers = list(scope["headers"])
        fields = dict(headers)
        if len(fields) != len(headers) or not _PASSING.isdisjoint(fields):
            return
        if fields.get(b"content-length", b"0") != b"%d" % length:
            return
        if len(self._known) >= HEADS:
            self._known.clear()
        self._known[lines] = Fields(
            {
                "type": "http",
                "asgi": scope["asgi"],
                "http_version": "1.1",
                "root_path": "",
                "query_string": b"",
                "headers": headers,
                "header_map": fields,
                "extensions": _EXTENSIONS,
            },
            length,
        )


class FrameProtocol(WebSocketsSansIOProtocol):
    """Takes `{"type": "websocket.send", "frames": bytes}`: whole frames, written as they are.

    A frame to a client needs no masking, so that making it is a matter of two bytes before the text; going through
    the library costs 12 microseconds a frame, and each is written by itself.
    """

    def handle_connect(self, event: Any) -> None:
        """As ever, and say that frames are taken."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][FRAMES] = {}

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        frames = message.get("frames")
        if frames is None:
            await super().send(message)
            return
        await self.writable.wait()
        if self.disconnected:
            raise ClientDisconnected
        if not self.close_sent:
            self.transport.write(frames)

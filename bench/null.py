"""A server that does nothing: what the driver reaches against it is the driver's own ceiling."""

import asyncio
import sys
import time

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

METRICS = b"\n".join(b'tasktide_pipeline_records_total{pipeline="%b"} 1e18' % name for name in (b"ingest", b"inbox"))
ANSWER = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nlocation: /tasks/1\r\ncontent-length: 400\r\n\r\n"
    + b"x" * 400
)
SHOUT = b'{"type":"notification","id":%d,"user_id":1,"kind":"task.assigned","task_id":1,"message":"load %016d is yours to do","created_at":"2026-11-21T09:30:00.000Z","read_at":null}'  # noqa: E501
MARK = b"load "
SHOUTS = 200


class Yes(asyncio.Protocol):
    """Says 202 to each request; a request is over where its announced body ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came."""
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        """Bytes came: answer each whole request among them."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = self._waiting[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._waiting) < end + 4 + length:
                return
            self._waiting = self._waiting[end + 4 + length :]
            body = METRICS if head.startswith(b"get /metrics") else b""
            answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body) if body else ANSWER
            self._transport.write(answer)  # type: ignore[attr-defined]


class Shouter(WSListener):
    """Sends frames as fast as they are taken."""

    _is_gone = False

    def on_ws_frame(self, transport: WSTransport, _frame: WSFrame) -> None:
        """Signed in: begin."""
        transport.send(WSMsgType.TEXT, b'{"type":"authenticated","user_id":1,"cursor":0}')
        self._task = asyncio.get_running_loop().create_task(self._shout(transport))

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """Gone."""
        self._is_gone = True

    async def _shout(self, transport: WSTransport) -> None:
        number = 0
        while True:
            now = time.monotonic_ns() // 1000
            for _ in range(SHOUTS):
                if self._is_gone or transport.underlying_transport.is_closing():
                    return
                number += 1
                transport.send(WSMsgType.TEXT, SHOUT % (number, now))
            await asyncio.sleep(0.001)


async def main(port: int, shout_port: int) -> None:
    """Serve until ended."""
    loop = asyncio.get_running_loop()
    await loop.create_server(Yes, "127.0.0.1", port)
    await ws_create_server(lambda _: Shouter(), "127.0.0.1", shout_port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))

"""How the HTTP server ends what does not end by itself."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasktide.interfaces.protocol import Receive, Scope, Send
from tasktide.roles.server import HttpServer
from tasktide.settings import Settings

LARGE = b"x" * 8_388_608


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/hang":
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await say(send, 503, b"cut off")
    else:
        await say(send, 200, LARGE)


async def say(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def stopped_with(paths: Sequence[str], tmp_path: Path, *, reads: bool) -> tuple[bytes, int]:
    """What a client got that had sent requests one behind the other, and how many are left behind."""
    bound = socket.create_server(("127.0.0.1", 0))
    served = HttpServer(app, bound, Settings(data_dir=tmp_path))
    served.start()
    await served.ready()
    reader, writer = await asyncio.open_connection(*bound.getsockname())
    for path in paths:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        await asyncio.sleep(0.1)
    reading = asyncio.create_task(reader.read()) if reads else None
    if reading is None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(8):
        await served.stop()
        got = await reading if reading else b""
    left = len(served._server.server_state.tasks)
    writer.transport.abort()
    return got, left


async def test_a_request_behind_one_that_is_cut_off_is_cut_off_too(tmp_path: Path) -> None:
    got, left = await stopped_with(["/hang", "/hang"], tmp_path, reads=True)
    assert (got.count(b"HTTP/1.1 503"), got.count(b"connection: close"), left) == (2, 1, 0)


@pytest.mark.parametrize("last", ["/large", "/hang"])
async def test_who_does_not_read_holds_up_nobody(last: str, tmp_path: Path) -> None:
    assert await stopped_with(["/large", last], tmp_path, reads=False) == (b"", 0)

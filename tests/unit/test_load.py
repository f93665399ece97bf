"""What the load generator does when the server does not."""

import asyncio

from tasktide.load.plan import Account
from tasktide.load.sockets import Ears


async def test_a_socket_cut_off_in_its_handshake_comes_back() -> None:
    """A listener that is lost silently would report what it did not hear as lost by the server."""
    tried: asyncio.Queue[bytes] = asyncio.Queue()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ears = Ears(f"http://127.0.0.1:{port}", [Account(1, "token")])
        opening = asyncio.create_task(ears.open())
        for _ in range(2):
            async with asyncio.timeout(10):
                assert b"upgrade: websocket" in (await tried.get()).lower()
        assert not opening.done()
        opening.cancel()
        await ears.close()

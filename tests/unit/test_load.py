"""What the load generator does when the server does not, and whom it listens to."""

import asyncio

from tasktide.load.plan import Account, Plan, Requests
from tasktide.load.sockets import Ears, _Ear


async def test_a_socket_cut_off_in_its_handshake_comes_back() -> None:
    """A listener that is lost silently would report what it did not hear as lost by the server."""
    tried: asyncio.Queue[bytes] = asyncio.Queue()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ears = Ears(f"http://127.0.0.1:{port}", [Account(1, "token")], b"load ")
        opening = asyncio.create_task(ears.open())
        for _ in range(2):
            async with asyncio.timeout(10):
                assert b"upgrade: websocket" in (await tried.get()).lower()
        assert not opening.done()
        opening.cancel()
        await ears.close()


async def test_of_two_loads_at_once_each_counts_its_own() -> None:
    """Both work with the same accounts: one that counted what the other sent would stop waiting too early."""
    account = Account(1, "token")
    plans = [Plan(url="http://localhost"), Plan(url="http://localhost")]
    ears = Ears(plans[0].url, [account], plans[0].mark)
    ear = _Ear(ears, account)
    for number, plan in enumerate(plans):
        request = Requests(plan, account, [account]).next(due_us=123)
        title = request[request.index(plan.mark) :].split(b'"')[0]
        ear.hear(b'{"type":"notification","id":%d,"message":"%b is yours to do"}' % (number, title))
    assert (ears.heard, ears.doubled, ears.disordered) == (1, 0, 0)

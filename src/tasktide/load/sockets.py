"""Live sockets that count what they hear and resume where they were cut off."""

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tasktide.load.plan import STAMP_DIGITS, Account
from tasktide.load.report import Latencies

_HEAD = b'{"type":"notification","id":'
# Sockets that are opened at once, and how long one waits before it tries again.
AT_ONCE = 50
AGAIN_S = 0.25
SIGN_IN_S = 30.0


class Ears:
    """All sockets of a load; what does not carry its mark is somebody else's."""

    def __init__(self, url: str, accounts: Sequence[Account], mark: bytes) -> None:
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        self.url = f"{scheme}://{parts.netloc}/tasks/notifications"
        self.mark = mark
        self.latencies = Latencies()
        self.heard = 0
        self.doubled = 0
        self.disordered = 0
        self.reconnected = 0
        self.last_heard = time.monotonic()
        self._listeners = [_Ear(self, account) for account in accounts]
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Sign all sockets in; each comes back by itself when it is cut off."""
        gate = asyncio.Semaphore(AT_ONCE)
        self._tasks = [asyncio.create_task(one.keep_open(gate)) for one in self._listeners]
        for one in self._listeners:
            await one.ready.wait()

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Ear:
    def __init__(self, ears: Ears, account: Account) -> None:
        self._ears = ears
        self._account = account
        self.ready = asyncio.Event()
        self.cursor: int | None = None

    async def keep_open(self, gate: asyncio.Semaphore) -> None:
        while True:
            try:
                async with gate:
                    transport, listener = await self._sign_in()
                try:
                    await listener.gone
                finally:
                    transport.disconnect(graceful=False)
            except (OSError, WSError, TimeoutError):
                pass
            await asyncio.sleep(AGAIN_S)

    async def _sign_in(self) -> tuple[WSTransport, "_Listener"]:
        transport, listener = await ws_connect(lambda: _Listener(self), self._ears.url)
        # A connection that ended during its handshake comes back without a listener, and as no error.
        if not isinstance(listener, _Listener):
            raise ConnectionResetError
        hello = {"type": "authenticate", "token": self._account.token}
        if self.cursor is not None:
            hello["after"] = self.cursor  # type: ignore[assignment]
        transport.send(WSMsgType.TEXT, msgspec.json.encode(hello))
        waiting = [listener.signed_in, listener.gone]
        await asyncio.wait(waiting, timeout=SIGN_IN_S, return_when=asyncio.FIRST_COMPLETED)
        if not listener.signed_in.done():
            transport.disconnect(graceful=False)
            raise TimeoutError
        self._ears.reconnected += self.ready.is_set()
        self.ready.set()
        return transport, listener

    def hear(self, payload: bytes) -> None:
        ears = self._ears
        if not payload.startswith(_HEAD):
            return
        number = int(payload[len(_HEAD) : payload.index(b",", len(_HEAD))])
        if self.cursor is not None and number <= self.cursor:
            ears.doubled += number == self.cursor
            ears.disordered += number < self.cursor
            return
        self.cursor = number
        at = payload.find(ears.mark)
        if at < 0:
            return
        now = time.monotonic_ns() // 1000
        ears.heard += 1
        ears.last_heard = now / 1_000_000
        stamp = at + len(ears.mark)
        ears.latencies.add(now - int(payload[stamp : stamp + STAMP_DIGITS]))


class _Listener(WSListener):
    def __init__(self, ear: _Ear) -> None:
        loop = asyncio.get_running_loop()
        self._ear = ear
        self.signed_in: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        """A frame came."""
        if frame.msg_type != WSMsgType.TEXT:
            return
        payload = frame.get_payload_as_bytes()
        if self.signed_in.done():
            self._ear.hear(payload)
        elif payload.startswith(b'{"type":"authenticated"'):
            if self._ear.cursor is None:
                self._ear.cursor = msgspec.json.decode(payload)["cursor"]
            self.signed_in.set_result(None)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """The socket is gone."""
        if not self.gone.done():
            self.gone.set_result(None)

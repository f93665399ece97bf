"""The HTTP server as a service."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from tasktide.interfaces.gate import TELL_S
from tasktide.interfaces.protocol import App
from tasktide.roles.protocols import FrameProtocol, HeadProtocol
from tasktide.settings import Settings

# Requests under way may finish within this time.
DRAIN_S = 3
# What is broken off ends within this time, or is left behind.
ENDED_WITHIN_S = 0.2
# How long the head of a request may take to arrive.
HEAD_S = 20.0
# How long a client may take nothing of its answers. Longer than for a frame: the system moves what is read slowly in
# large pieces.
UNREAD_S = 30.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the role's business: it stops the server, then the pipelines."""
        yield


class HttpServer:
    """uvicorn around the application, on a socket that was bound before anything else was started."""

    def __init__(self, app: App, bound: socket.socket, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            loop="none",
            http=HeadProtocol,
            ws=FrameProtocol,
            ws_max_size=65_536,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or "127.0.0.1",
            timeout_graceful_shutdown=DRAIN_S,
            backlog=4_096,
        )
        self._server = _Server(config)
        self._socket = bound
        self._task: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin to accept; the task ends when the server stops."""
        if self._task is None:
            self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")
            self._sweeper = asyncio.create_task(self._sweep(), name="http-sweep")
        return self._task

    async def _sweep(self) -> None:
        """Hang up on those who never finish a head, and on those who do not take their answer."""
        while True:
            await asyncio.sleep(HEAD_S / 4)
            for connection in list(self._server.server_state.connections):
                if isinstance(connection, HeadProtocol):
                    connection.close_if_idle(HEAD_S)
                    connection.abort_if_unread(UNREAD_S)

    async def ready(self) -> None:
        """Return when connections are answered."""
        # uvicorn has a flag and no event.
        while not self._server.started and self._task is not None and not self._task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop accepting, let requests finish, close the rest; twice is fine."""
        self._server.should_exit = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._cut_off()

    async def _cut_off(self) -> None:
        """End what has not ended by itself: each request has TELL_S to say so, then its connection is broken off."""
        requests = self._server.server_state.tasks
        loop = asyncio.get_running_loop()
        until = loop.time() + TELL_S
        while requests and (left_s := until - loop.time()) > 0:
            for request in list(requests):
                # uvicorn has cancelled those it knew; what was sent behind one of them begins when that one has ended.
                if not request.cancelling():
                    request.cancel()
            await asyncio.wait(requests, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, HeadProtocol):
                connection.abandon()
        if requests:
            await asyncio.wait(requests, timeout=ENDED_WITHIN_S)

"""A network between a program and an engine: it can be slow, and it can be cut without a word."""

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Passes bytes on to a port of this machine, in a thread of its own. Its own port is given, or any that is free.

    `delay_s` holds every piece back for so long, either way. While `is_cut`, bytes vanish and nobody is told, as when a
    cable is pulled.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self.delay_s = 0.0
        self.is_cut = False
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{target}", daemon=True)
        self._stop = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # what was closed is let go of a turn later

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.ExitStack() as exits, contextlib.suppress(OSError, asyncio.CancelledError):
            exits.callback(writer.close)
            # Refused while the engine is down: then this end is closed as well.
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            exits.callback(there_writer.close)
            await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Everything from one side to the other. What was sent while the line was cut is lost, and the line with it."""
        was_cut = False
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                was_cut = was_cut or self.is_cut
                if was_cut:
                    while self.is_cut:
                        await asyncio.sleep(0.05)
                    break
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(piece)
                await writer.drain()
        writer.close()

"""The live stream over WebSocket: one frame to sign in, then one frame a notification."""

import asyncio
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from tasktide.domain.errors import Invalid, TasktideError, Unauthenticated
from tasktide.domain.ids import MAX_ID, NotificationId, UserId
from tasktide.domain.users import Actor
from tasktide.interfaces import actor as actors
from tasktide.interfaces import status
from tasktide.interfaces.anteroom import Anteroom
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import FRAMES, Message, Receive, Scope, Send
from tasktide.interfaces.watchdog import Watchdog
from tasktide.usecases.admission import refusal
from tasktide.usecases.live import LiveStream

FRAME_BYTES = 16_384
# A client that was too slow hears why, if it reads what is under way within this time.
LINGER_S = 60.0


class Authenticate(Struct, frozen=True, tag="authenticate", tag_field="type"):
    """The first frame; `after` asks for what was missed."""

    token: str
    after: int | None = None


class Ping(Struct, frozen=True, tag="ping", tag_field="type"):
    """Answered with a pong."""


class Authenticated(Struct, frozen=True, tag="authenticated", tag_field="type"):
    """The stream begins behind `cursor`."""

    user_id: UserId
    cursor: NotificationId


_decoder: msgspec.json.Decoder[Authenticate | Ping] = msgspec.json.Decoder(Authenticate | Ping)
PONG = '{"type":"pong"}'
HEAD = b'{"type":"notification",'
# Notifications in one write: more would wait in our memory for a client that does not read.
AT_ONCE = 200


class _Over(Exception):
    """The client has gone."""


class _Slow(Exception):
    """The client does not read what it is sent."""


class Session:
    """One socket. Reading frames and sending notifications go on side by side; the first to end ends both."""

    def __init__(
        self,
        platform: Platform,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        watchdog: Watchdog,
        anteroom: Anteroom,
    ) -> None:
        self._platform = platform
        client = scope.get("client")
        self._address = client[0] if client else "unknown"
        self._takes_frames = FRAMES in (scope.get("extensions") or {})
        self._watchdog = watchdog
        self._anteroom = anteroom
        self._receive = receive
        self._raw_send = send

    async def serve(self) -> None:
        """From handshake to close."""
        await self._receive()
        await self._raw_send({"type": "websocket.accept"})
        self._platform.stats.listeners("websocket", 1)
        try:
            await self._talk()
        except _Over:
            return
        except TimeoutError:
            await self._close(status.CLOSE_TIMEOUT, "no authentication in time")
        except _Slow:
            await self._close(status.CLOSE_SLOW, "too slow: resume with after", LINGER_S)
        except TasktideError as error:
            wrong = [f"{one.field}: {one.message}" for one in getattr(error, "errors", ())]
            await self._close(status.close_code(error), "; ".join(wrong) or error.detail)
        finally:
            self._platform.stats.listeners("websocket", -1)

    async def _talk(self) -> None:
        async with asyncio.timeout(self._platform.limits.authenticate_s) as limit:
            with self._anteroom.enter(limit):
                frame = await self._authentication()
        actor = await self._admitted(frame.token.removeprefix("Bearer ").strip())
        after = None if frame.after is None else NotificationId(frame.after)
        live = await self._platform.live.open(actor, after)
        try:
            await self._send(msgspec.json.encode(Authenticated(actor.user_id, live.cursor)).decode())
            await self._both(self._hear(), self._tell(live))
        finally:
            live.close()

    async def _admitted(self, token: str) -> Actor:
        """The actor behind the token; sign-ins count as requests do, failed ones for the address."""
        admission = self._platform.admission
        actor: Actor | None = None
        failure: TasktideError | None = None
        try:
            actor = await actors.resolve_token(self._platform.users, token)
        except Unauthenticated as failed:
            failure = failed
        if admission.enabled:
            verdict = await admission.admit(actor, self._address)
            if not verdict.allowed:
                raise refusal(verdict)
        if actor is None:
            raise failure or Unauthenticated("The token is not valid.")
        return actor

    async def _authentication(self) -> Authenticate:
        while True:
            frame = await self._frame()
            if isinstance(frame, Ping):
                await self._send(PONG)
                continue
            if frame.after is not None and not 0 <= frame.after <= MAX_ID:
                raise _bad_frame("`after` is no cursor")
            return frame

    async def _hear(self) -> None:
        while True:
            if not isinstance(await self._frame(), Ping):
                raise _bad_frame("already authenticated")
            await self._send(PONG)

    async def _tell(self, live: LiveStream) -> None:
        while True:
            told = await live.read()
            if not self._takes_frames:
                for one in told:
                    await self._send((HEAD + one.body[1:]).decode())
                continue
            for first in range(0, len(told), AT_ONCE):
                parts = [
                    part for one in told[first : first + AT_ONCE] for part in (_opening(len(one.body)), one.body[1:])
                ]
                await self._pass({"type": "websocket.send", "frames": b"".join(parts)})

    async def _both(self, *parts: Any) -> None:
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _frame(self) -> Authenticate | Ping:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise _Over
        text = message.get("text") or message.get("bytes") or b""
        if len(text) > FRAME_BYTES:
            raise _bad_frame("the frame is too large")
        try:
            return _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _bad_frame("the frame is not one of this protocol") from None

    async def _send(self, text: str) -> None:
        await self._pass({"type": "websocket.send", "text": text})

    async def _pass(self, message: Message) -> None:
        try:
            await self._watchdog.watch(self._raw_send(message))
        except TimeoutError:
            raise _Slow from None
        except OSError:
            raise _Over from None

    async def _close(self, code: int, reason: str, wait_s: float = 1.0) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._raw_send({"type": "websocket.close", "code": code, "reason": reason[:120]})
        except (TimeoutError, OSError):
            return


@lru_cache(maxsize=4_096)
def frame_head(size: int) -> bytes:
    """What a text of so many bytes from a server begins with, to be a frame (RFC 6455, section 5.2)."""
    if size < 126:  # noqa: PLR2004 - the two marks for longer lengths
        return b"\x81%c" % size
    if size < 65_536:  # noqa: PLR2004
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


@lru_cache(maxsize=4_096)
def _opening(size: int) -> bytes:
    """What the frame of a notification has instead of the brace that begins its JSON of so many bytes."""
    return frame_head(len(HEAD) + size - 1) + HEAD


def _bad_frame(why: str) -> TasktideError:
    return Invalid([], why)


async def reject(send: Send, receive: Receive) -> None:
    """Refuse a handshake for a path where there is nothing."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})

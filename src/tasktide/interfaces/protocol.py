"""The names of ASGI's parts, and the extensions of ours."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
# How a request is answered beside ASGI: status, header lines each with its line end, body.
Respond = Callable[[int, bytes, bytes], None]
# Extensions of our server: it takes whole WebSocket frames, many in one message, and whole HTTP answers.
FRAMES = "tasktide.frames"
WHOLE = "tasktide.whole"

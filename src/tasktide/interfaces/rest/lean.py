"""The lean way: the busiest routes called without the framework that describes them.

Litestar takes 100 microseconds and more to bring a request to its route. The routes here are the same functions that
it documents and would call, with the same decoding; only the way to them is shorter. What is not exactly one of
them (another spelling, query parameters) goes the long way.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from litestar.handlers import HTTPRouteHandler

from tasktide.interfaces import actor as actors
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import App, Receive, Scope, Send
from tasktide.interfaces.rest import notifications, tasks
from tasktide.interfaces.rest.answers import Answer, Incoming
from tasktide.interfaces.rest.body import Body

ROUTES: Sequence[HTTPRouteHandler] = [
    tasks.submit,
    tasks.submit_batch,
    tasks.get_task,
    notifications.send,
    notifications.send_batch,
]

Route = Callable[..., Awaitable[Answer]]


class Call:
    """What the routes here use of a request: a stand-in for Litestar's."""

    __slots__ = ("_body", "headers", "method", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.headers = CallHeaders(scope["header_map"])
        self._body: bytes | None = None

    async def body(self) -> bytes:
        """The whole body."""
        if self._body is None:
            self._body = await self.scope["body"].whole()
        return self._body


class CallHeaders:
    """Header values by lower-case name; of a header that came twice, the last."""

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[bytes, bytes]) -> None:
        self._raw = raw

    def get(self, name: str) -> str | None:
        """A header's value."""
        value = self._raw.get(name.encode())
        return None if value is None else value.decode("latin-1")


class Lean:
    """An ASGI application that calls the routes here itself and leaves the others to the framework."""

    def __init__(self, app: App, platform: Platform) -> None:
        self._app = app
        self._platform = platform
        self._exact: dict[tuple[str, str], tuple[Route, type[Body[Any]] | None]] = {}
        # The text before the id of a path that ends in one.
        self._by_id: dict[tuple[str, str], Route] = {}
        for handler in ROUTES:
            for path in handler.paths:
                [method] = handler.http_methods
                stem, brace, _ = path.partition("{")
                if brace:
                    self._by_id[method, stem] = handler.fn
                else:
                    self._exact[method, path] = handler.fn, cast("type[Body[Any]] | None", handler.resolve_data_dto())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["query_string"]:
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        exact = self._exact.get((method, path))
        if exact is not None:
            answer = await self._post(*exact, scope)
        else:
            stem, slash, number = path.rpartition("/")
            route = self._by_id.get((method, stem + slash)) if number.isdigit() else None
            if route is None:
                await self._app(scope, receive, send)
                return
            actors.required(scope)
            answer = await route(cast("Incoming", Call(scope)), number, self._platform)
        await answer(scope, receive, send)

    async def _post(self, route: Route, body: type[Body[Any]] | None, scope: Scope) -> Answer:
        actors.required(scope)
        call = Call(scope)
        request = cast("Incoming", call)
        if body is None:
            return await route(request, self._platform)
        data = body.decoded(await call.body(), call.headers.get("content-type"))
        return await route(request, data, self._platform)

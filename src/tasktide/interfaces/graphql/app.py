"""`/graphql` as an ASGI application: queries over HTTP, everything over graphql-transport-ws."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry import UNSET
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from tasktide.domain.errors import TasktideError, Unauthenticated
from tasktide.interfaces import actor as actors
from tasktide.interfaces import session
from tasktide.interfaces.graphql.context import Context
from tasktide.interfaces.graphql.schema import build
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import Receive, Scope, Send
from tasktide.interfaces.watchdog import Watchdog

SUBSCRIPTIONS = 50


class Endpoint(GraphQL[Context, None]):
    """Who asks comes from the gate (HTTP) or from the first message of a socket, or its cookie."""

    def __init__(self, platform: Platform, slow_readers: Watchdog) -> None:
        super().__init__(
            build(introspection=platform.introspection),
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=timedelta(seconds=platform.limits.authenticate_s),
            max_subscriptions_per_connection=SUBSCRIPTIONS,
            allowed_origins=platform.cors_origins,
        )
        self._platform = platform
        self._slow_readers = slow_readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] != "websocket":
            await super().__call__(scope, receive, send)
            return

        async def watched(message: Any) -> None:
            await self._slow_readers.watch(send(message))

        self._platform.stats.listeners("graphql", 1)
        try:
            await super().__call__(scope, receive, watched)
        except (TimeoutError, OSError):
            return  # it does not read, or it is gone
        finally:
            self._platform.stats.listeners("graphql", -1)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        """One for each request, and one for each socket."""
        return Context(platform=self._platform, scope=request.scope, response=response)

    async def on_ws_connect(self, context: Context) -> Any:
        """Find out who it is, by the message's `token`, or by the cookie of the handshake."""
        given = context.connection_params
        token = given.get("token") if isinstance(given, Mapping) else None
        if token is None:
            token = session.token(dict(context.scope["headers"]))
        actor = None
        failure: TasktideError = Unauthenticated(
            "Sign in first: send `token` in connection_init.", code="token_missing"
        )
        if isinstance(token, str):
            try:
                actor = await actors.resolve_token(self._platform.users, token.removeprefix("Bearer ").strip())
            except TasktideError as failed:
                failure = failed
        try:
            await context.admit(actor)
        except TasktideError as refused:
            failure, actor = refused, None
        if actor is None:
            raise ConnectionRejectionError({"code": failure.code, "detail": failure.detail})
        context.scope["actor"] = actor
        return UNSET

    def encode_json(self, data: object) -> str | bytes:
        """As everywhere in the house."""
        encoded = msgspec.json.encode(data)
        return encoded.decode()

"""`/graphql` as an ASGI application: queries over HTTP, everything over graphql-transport-ws."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any

import msgspec
from cross_web import HTTPException
from graphql import GraphQLError, OperationType, get_operation_ast, parse
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry import UNSET as NOTHING
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import NonJsonMessageReceived, WebSocketDisconnected
from strawberry.http.websocket_origin import is_same_origin
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler

from tasktide.domain.errors import TasktideError, Unauthenticated
from tasktide.interfaces import actor as actors
from tasktide.interfaces import session, status
from tasktide.interfaces.anteroom import Anteroom
from tasktide.interfaces.graphql.context import Context
from tasktide.interfaces.graphql.limits import TOKENS
from tasktide.interfaces.graphql.schema import build
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import Message, Receive, Scope, Send
from tasktide.interfaces.status import HttpError
from tasktide.interfaces.watchdog import Watchdog

# What the library says of a body that is not JSON, as of a bad request.
UNSUPPORTED = "Unsupported content type"
SUBSCRIPTIONS = 50
# A close frame has room for so many bytes of words.
REASON_BYTES = 120


class _Operation(Struct):
    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - as the protocol spells it
    extensions: dict[str, Any] | None = None


class _Incoming(Struct):
    """What a client may send on a socket, as far as its form goes."""

    type: str
    id: str | UnsetType = UNSET
    payload: dict[str, Any] | UnsetType | None = UNSET


class _Adapter(ASGIWebSocketAdapter):
    """Lets nothing through whose form the handler does not expect, and closes with as many words as fit."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """The messages of the client."""
        async for message in super().iter_json(ignore_parsing_errors=ignore_parsing_errors):
            try:
                incoming = msgspec.convert(message, _Incoming)
                if incoming.type == "subscribe":
                    msgspec.convert(incoming.payload, _Operation)
            except msgspec.ValidationError:
                raise NonJsonMessageReceived from None
            yield message

    async def close(self, code: int, reason: str) -> None:
        """End the socket."""
        await super().close(code, reason.encode()[:REASON_BYTES].decode("utf-8", "ignore"))


class _Handler(BaseGraphQLTransportWSHandler[Context, None]):
    async def handle_task_exception(self, error: Exception) -> None:
        """That a client has gone in the middle is nothing to log."""
        if not isinstance(error, WebSocketDisconnected | TimeoutError | OSError):
            await super().handle_task_exception(error)

    async def cleanup_operation(self, operation_id: str) -> None:
        """The client has gone, or does not want to know. What changes something goes on to its end.

        Cut off behind its commit, a mutation would leave old copies in the cache and waiters untold.
        """
        operation = self.operations.get(operation_id)
        if operation is None or not _is_mutation(operation.query, operation.operation_name):
            await super().cleanup_operation(operation_id)
            return
        operation.completed = True  # nothing more is sent
        del self.operations[operation_id]
        # It still counts, and is waited for at the end; its id is free.
        under_way = f"under way {id(operation)}"
        self.operations[under_way] = operation
        if operation.task is not None:
            operation.task.add_done_callback(lambda _: self.operations.pop(under_way, None))


def _is_mutation(query: str, name: str | None) -> bool:
    try:
        found = get_operation_ast(parse(query, max_tokens=TOKENS), name)
    except (GraphQLError, RecursionError):
        return False  # it is about to be refused
    return found is not None and found.operation is OperationType.MUTATION


class Endpoint(GraphQL[Context, None]):
    """Who asks comes from the gate (HTTP) or from the first message of a socket, or its cookie."""

    websocket_adapter_class = _Adapter
    graphql_transport_ws_handler_class = _Handler

    def __init__(self, platform: Platform, slow_readers: Watchdog, anteroom: Anteroom) -> None:
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
        self._anteroom = anteroom

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
            return
        try:
            answer = await self.run(Request(scope, receive))
        except HTTPException as refused:
            headers = {"allow": "GET, POST"} if refused.status_code == 405 else None  # noqa: PLR2004
            code = 415 if refused.reason == UNSUPPORTED else refused.status_code
            raise HttpError(code, f"{refused.reason.rstrip('.')}.", headers) from None
        await answer(scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        serving = asyncio.current_task()
        is_slow = False

        async def watched(message: Message) -> None:
            nonlocal is_slow
            try:
                await self._slow_readers.watch(send(message))
            except TimeoutError:
                # It was noticed where a message was sent; what waits for the client's next one must end too.
                is_slow = True
                if serving is not None:
                    serving.cancel()
                raise OSError("the client does not read") from None

        self._platform.stats.listeners("graphql", 1)
        try:
            async with asyncio.timeout(None) as limit:
                with self._anteroom.enter(limit) as scope["signed_in"]:
                    await super().__call__(scope, receive, watched)
        except TimeoutError:
            await watched({"type": "websocket.close", "code": status.CLOSE_TIMEOUT})
        except OSError:
            return  # it is gone
        except asyncio.CancelledError:
            if not is_slow or serving is None or serving.uncancel():
                raise
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
            token = _cookie(context.scope)
        failure: TasktideError = Unauthenticated(
            "Sign in first: send `token` in connection_init.", code="token_missing"
        )
        actor = None
        if isinstance(token, str):
            context.scope["token"] = token.removeprefix("Bearer ").strip()
            try:
                actor = await actors.resolve_token(self._platform.users, context.scope["token"])
            except TasktideError as failed:
                failure = failed
        try:
            await context.admit(actor)
        except TasktideError as refused:
            failure, actor = refused, None
        if actor is None:
            raise ConnectionRejectionError({"code": failure.code, "detail": failure.detail})
        context.scope["actor"] = actor
        context.scope["signed_in"]()
        return NOTHING

    def encode_json(self, data: object) -> str | bytes:
        """As everywhere in the house."""
        return msgspec.json.encode(data).decode()

    def decode_json(self, data: str | bytes) -> object:
        """As everywhere in the house: no NaN, no half of a surrogate pair, nothing but an object or a list."""
        try:
            found = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as wrong:
            raise json.JSONDecodeError(str(wrong), "", 0) from None
        if not isinstance(found, dict | list):
            raise json.JSONDecodeError("not an object", "", 0)
        return found


def _cookie(scope: Scope) -> str | None:
    """The cookie counts for pages of our own alone, whoever else may call the API with a token."""
    headers = dict(scope["headers"])
    origin, host = headers.get(b"origin"), headers.get(b"host", b"").decode("latin-1")
    if origin is not None and not is_same_origin(origin.decode("latin-1"), host):
        return None
    return session.token(headers)

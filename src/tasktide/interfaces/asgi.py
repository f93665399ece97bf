"""The one ASGI application: REST and server-sent events behind the gate, WebSocket beside it."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.openapi.spec.schema import Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from starlette.middleware.cors import CORSMiddleware

from tasktide import __version__
from tasktide.domain.errors import FieldError, Invalid, NotFound, TasktideError
from tasktide.interfaces import actor as actors
from tasktide.interfaces import status
from tasktide.interfaces.anteroom import Anteroom
from tasktide.interfaces.gate import STREAMS, Gate, traces
from tasktide.interfaces.pages import Pages, is_page
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import App, Receive, Scope, Send
from tasktide.interfaces.rest import auth, letters, notifications, service, tasks, users, webhooks
from tasktide.interfaces.rest.lean import Lean
from tasktide.interfaces.sse.stream import events
from tasktide.interfaces.status import HttpError
from tasktide.interfaces.swift import Swift
from tasktide.interfaces.watchdog import Watchdog
from tasktide.interfaces.websocket.session import Session, reject

# How Litestar says that the client left in the middle of its body: nobody is there to be answered.
CLIENT_LEFT = "client disconnected prematurely"
SOCKET_PATH = "/tasks/notifications"
GRAPHQL_PATH = "/graphql"
# What pages of other origins may send and see.
REQUEST_HEADERS = [
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "last-event-id",
    "x-request-id",
]
ANSWER_HEADERS = [
    "etag",
    "idempotent-replayed",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-request-id",
]


class RawJson(OpenAPISchemaPlugin):
    """Tells OpenAPI that a `msgspec.Raw` is any JSON."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether the field is raw JSON."""
        return field_definition.annotation is msgspec.Raw

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """A schema that allows everything."""
        del field_definition, schema_creator
        return Schema(description="Any JSON value.")


class Application:
    """The ASGI application, and beside it the swift way, for a server that knows it."""

    def __init__(self, app: App, swift: Swift) -> None:
        self._app = app
        self.swift = swift

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._app(scope, receive, send)


def build(platform: Platform, *, with_api: bool = True) -> App:
    """The application for a platform; without the API it tells how the process is, and nothing else."""
    if not with_api:
        return Gate(_with_options(_rest(platform, service.ROUTES)), platform)
    routes = [
        *auth.ROUTES,
        *users.ROUTES,
        *tasks.ROUTES,
        *notifications.ROUTES,
        *webhooks.ROUTES,
        *letters.ROUTES,
        *service.ROUTES,
        events,
    ]
    # Roles without the API, and commands, start a fifth of a second sooner without it.
    from tasktide.interfaces.graphql.app import Endpoint  # noqa: PLC0415 - only where it is used

    slow_readers = Watchdog(platform.limits.send_s)
    anteroom = Anteroom(platform.limits.signing_in)
    graphql = Endpoint(platform, slow_readers, anteroom)
    rest = Lean(_with_options(_rest(platform, routes)), platform)
    http: App = Gate(_ways(graphql, Pages(), rest), platform)
    if platform.cors_origins:
        # Outermost, so that refusals carry its headers too and preflights are not counted as requests.
        http = CORSMiddleware(
            http,
            allow_origins=platform.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
        )

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await http(scope, receive, send)
        elif scope["type"] == "websocket":
            scope["trace_id"], scope["traceparent"] = traces(dict(scope["headers"]))
            if scope["path"] == SOCKET_PATH:
                session = Session(platform, scope, receive, send, watchdog=slow_readers, anteroom=anteroom)
                await session.serve()
            elif scope["path"] == GRAPHQL_PATH:
                await graphql(scope, receive, send)
            else:
                await reject(send, receive)
        else:
            raise ValueError(f"no {scope['type']} here")

    return Application(application, Swift(platform))


def _ways(graphql: App, pages: App, rest: App) -> App:
    """Which application a path belongs to."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == GRAPHQL_PATH:
            await graphql(scope, receive, send)
        elif is_page(path):
            await pages(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return application


def _rest(platform: Platform, routes: Sequence[Any]) -> Litestar:
    return Litestar(
        route_handlers=routes,
        dependencies={"platform": Provide(lambda: platform, sync_to_thread=False, use_cache=True)},
        guards=[_signed_in],
        before_request=_known_parameters,
        exception_handlers={TasktideError: _problem, HTTPException: _http_problem, Exception: _unexpected},
        openapi_config=_openapi(),
        plugins=[RawJson()],
        request_max_body_size=None,
        logging_config=None,
        signature_types=[Platform],
    )


def _openapi() -> OpenAPIConfig:
    bearer = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
    return OpenAPIConfig(
        title="Tasktide",
        version=__version__,
        description="Tasks for people, jobs for programs, and notifications about both.",
        components=Components(security_schemes={"bearer": bearer}),
        security=[{"bearer": []}],
        render_plugins=[],
        use_handler_docstrings=True,
    )


# Guards and hooks are coroutines, because Litestar runs plain functions in a thread, at 150 microseconds each.
async def _signed_in(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The default is closed: only a route that says `public` answers without a token."""
    if not handler.opt.get("public"):
        actors.required(connection.scope)


async def _known_parameters(request: Request[Any, Any, Any]) -> None:
    """A parameter that nobody reads is a spelling mistake, and would silently widen a list."""
    if not request.query_params:
        return
    parameters = request.route_handler.parsed_fn_signature.parameters
    taken = {"request", "platform", "data", *request.path_params, *_path_names(request.route_handler)}
    unknown = [name for name in request.query_params if name not in parameters or name in taken]
    twice = [
        name
        for name in request.query_params
        if name not in unknown
        and len(request.query_params.getall(name)) > 1
        and not parameters[name].is_non_string_sequence
        and not any(inner.is_non_string_sequence for inner in parameters[name].inner_types)
    ]
    nothing = [
        name
        for name, value in request.query_params.multi_items()
        if value.lower() == "null" and name not in unknown and _is_number(parameters[name])
    ]
    errors = [FieldError(name, "is not a parameter here") for name in dict.fromkeys(unknown)]
    errors += [FieldError(name, "must not be null: leave it out") for name in dict.fromkeys(nothing)]
    errors += [FieldError(name, "is given more than once") for name in dict.fromkeys(twice)]
    if errors:
        raise Invalid(errors)


def _is_number(parameter: FieldDefinition) -> bool:
    """Whether it is a number or a bool: Litestar would take `null` for such a parameter that is not given."""
    return bool({int, bool} & {parameter.annotation, *(inner.annotation for inner in parameter.inner_types)})


def _path_names(handler: BaseRouteHandler) -> set[str]:
    return {name for path in handler.paths for name in re.findall(r"{(\w+):", path)}


def _problem(request: Request[Any, Any, Any], error: TasktideError) -> Response[Any]:
    code, headers, body = status.problem(error, str(request.scope.get("trace_id")))
    return Response(body, status_code=code, headers=headers, media_type=status.PROBLEM)


def _http_problem(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if error.detail == CLIENT_LEFT:
        return Response(b"", status_code=400)
    if error.status_code >= 500:  # noqa: PLR2004 - ours, not the client's
        return _unexpected(request, error)
    return _problem(request, _understood(request, error))


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    trace_id = str(request.scope.get("trace_id"))
    logger = structlog.get_logger("gateway")
    logger.error("request failed", trace_id=trace_id, method=request.method, path=request.scope["path"], exc_info=error)
    code, headers, body = status.unexpected(trace_id)
    return Response(body, status_code=code, headers=headers, media_type=status.PROBLEM)


def _understood(request: Request[Any, Any, Any], error: HTTPException) -> TasktideError:
    """What Litestar's own refusals mean in our terms."""
    match error:
        case NotFoundException():
            return NotFound("There is nothing here.")
        case MethodNotAllowedException():
            return HttpError(
                405, "This method is not allowed here.", {"allow": _allowed(request.app, request.scope["path"])}
            )
        case ValidationException():
            wrong = error.extra if isinstance(error.extra, list) else []
            if not wrong or any(one.get("key") == "data" for one in wrong):
                return HttpError(400, "The body is empty.")
            return Invalid([FieldError(str(one.get("key", "")), str(one.get("message", ""))) for one in wrong])
        case _:
            return HttpError(error.status_code, error.detail)


def _allowed(app: Litestar, path: str) -> str:
    """The methods of the routes that match a path, by its words before by its parameters; empty when none does."""
    parts = path.split("/")
    exact: set[str] = set()
    methods: set[str] = set()
    for route in app.routes:
        wanted = route.path_format.split("/")
        fits = zip(wanted, parts, strict=False)
        if wanted == parts:
            exact |= getattr(route, "methods", set())
        elif len(wanted) == len(parts) and all(one == part or one.startswith("{") for one, part in fits):
            methods |= getattr(route, "methods", set())
    methods = exact or methods
    if "GET" in methods and path not in STREAMS:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _with_options(app: Litestar) -> App:
    """Answers OPTIONS for all routes of a path at once; Litestar knows each by itself."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        allowed = _allowed(app, scope["path"]) if scope["method"] == "OPTIONS" else ""
        if not allowed:
            await app(scope, receive, send)  # type: ignore[arg-type]
            return
        headers = [(b"allow", allowed.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return application

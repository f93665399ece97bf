"""The schema, its limits, and its errors."""

import re
from collections.abc import AsyncIterator, Callable, Iterator

import strawberry
import structlog
from graphql import GraphQLError, OperationDefinitionNode
from strawberry.extensions import (
    DisableIntrospection,
    MaxAliasesLimiter,
    MaxTokensLimiter,
    QueryDepthLimiter,
    SchemaExtension,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from tasktide.domain.errors import TasktideError
from tasktide.interfaces import status
from tasktide.interfaces.graphql import limits
from tasktide.interfaces.graphql.context import Context
from tasktide.interfaces.graphql.mutations import Mutation
from tasktide.interfaces.graphql.queries import Query
from tasktide.interfaces.graphql.scalars import SCALARS
from tasktide.interfaces.graphql.subscriptions import Subscription

# What REST calls otherwise.
_ARGUMENTS = {"limit": "first", "cursor": "after", "Idempotency-Key": "idempotencyKey"}


class Named(SchemaExtension):
    """Of several operations none is run unless it is said which."""

    def on_validate(self) -> Iterator[None]:
        """Before the document is looked at any closer."""
        context = self.execution_context
        document = context.graphql_document
        operations = (
            [one for one in document.definitions if isinstance(one, OperationDefinitionNode)] if document else []
        )
        if len(operations) > 1 and not context._provided_operation_name:  # noqa: SLF001 - the other makes one up
            context.pre_execution_errors = [GraphQLError("Say which of the operations to run: operationName.")]
        yield


class Admitted(SchemaExtension):
    """Asks for each operation of a socket who it is and whether it may come in, as the gate does for each request."""

    async def on_operation(self) -> AsyncIterator[None]:
        """Before anything is read."""
        context = self.execution_context.context
        if isinstance(context, Context):
            context.begin()
            if context.is_socket:
                try:
                    await context.recheck()
                    await context.admit(context.actor)
                except TasktideError as refused:
                    told = GraphQLError(refused.detail, original_error=refused)
                    self.execution_context.pre_execution_errors = [told]
        yield


class Schema(strawberry.Schema):
    """Errors of the domain keep their codes; all others are ours to know and nobody else's."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Put into `extensions` what a problem of REST says."""
        context = execution_context.context if execution_context else None
        trace_id = context.scope.get("trace_id") if isinstance(context, Context) else None
        for error in errors:
            cause = error.original_error
            if isinstance(cause, TasktideError):
                error.extensions = _extensions(cause) | {"trace_id": trace_id}
            elif cause is None or isinstance(cause, GraphQLError) or _is_endless_number(cause):
                error.extensions = (
                    {"code": "malformed", "status": 400} | (error.extensions or {}) | {"trace_id": trace_id}
                )
            else:
                structlog.get_logger("gateway").error("operation failed", trace_id=trace_id, exc_info=cause)
                error.message = "Something went wrong on our side; the log tells what."
                error.extensions = {"code": "internal", "status": 500, "trace_id": trace_id}


def build(*, introspection: bool = True) -> Schema:
    """The schema; without introspection, clients must know it already."""
    extensions: list[type[SchemaExtension] | Callable[[], SchemaExtension]] = [
        Admitted,
        Named,
        _Depth,
        _Aliases,
        _Tokens,
        limits.CostLimiter,
    ]
    return Schema(
        Query,
        Mutation,
        Subscription,
        extensions=[*extensions, *([] if introspection else [DisableIntrospection])],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def sdl() -> str:
    """The schema in its own language."""
    return build().as_str() + "\n"


class _Depth(QueryDepthLimiter):
    def __init__(self) -> None:
        super().__init__(max_depth=limits.DEPTH)


class _Aliases(MaxAliasesLimiter):
    def __init__(self) -> None:
        super().__init__(max_alias_count=limits.ALIASES)


class _Tokens(MaxTokensLimiter):
    def __init__(self) -> None:
        super().__init__(max_token_count=limits.TOKENS)


def _is_endless_number(cause: BaseException) -> bool:
    """Whether Python refused to read an integer of thousands of digits: a literal of the client."""
    return isinstance(cause, ValueError) and "integer string conversion" in str(cause)


def _extensions(error: TasktideError) -> dict[str, object]:
    shown: dict[str, object] = {"code": error.code, "status": status.http_status(error)}
    if wrong := getattr(error, "errors", ()):
        shown["errors"] = [{"field": _camel(one.field), "message": one.message} for one in wrong]
    if (wait_s := getattr(error, "retry_after_s", None)) is not None:
        shown["retry_after"] = wait_s
    return shown


def _camel(path: str) -> str:
    """A field's path as the schema spells it."""
    return _ARGUMENTS.get(path) or re.sub(r"_([a-z])", lambda match: match[1].upper(), path)

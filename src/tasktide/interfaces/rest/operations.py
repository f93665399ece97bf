"""OpenAPI operations for bodies that Litestar does not decode: arrays and lines of JSON."""

from dataclasses import dataclass

import msgspec
from litestar.openapi.spec import OpenAPIType, Operation, Reference, RequestBody, Schema
from litestar.openapi.spec.media_type import OpenAPIMediaType


def batch_of(kind: type[msgspec.Struct]) -> type[Operation]:
    """An operation whose body is an array, or one JSON a line, of a struct that another route takes alone."""
    item = Reference(ref=f"#/components/schemas/{kind.__name__}")
    array = Schema(type=OpenAPIType.ARRAY, items=item, min_items=1)
    body = RequestBody(
        required=True,
        description="A JSON array, or one JSON object a line.",
        content={
            "application/json": OpenAPIMediaType(schema=array),
            "application/x-ndjson": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING)),
        },
    )

    @dataclass
    class BatchOperation(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return BatchOperation

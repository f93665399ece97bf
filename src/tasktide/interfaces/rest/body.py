"""Request bodies: JSON decoded straight into its type, with an error that names the field."""

import contextlib
import re
from collections.abc import Generator
from types import GenericAlias
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from litestar.dto import AbstractDTO, DTOConfig, DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from tasktide.domain.errors import MOST_LISTED, FieldError, Invalid
from tasktide.interfaces.status import HttpError

T = TypeVar("T")

JSON = "application/json"
NDJSON = "application/x-ndjson"
MERGE_PATCH = "application/merge-patch+json"
COMMAS_AN_ITEM = 20
"""Up to as many commas for each item allowed, an array is read without its items being counted first."""
COMMAS_NAMED = 1_000
"""Up to as many commas in an object, each of its fields that is wrong is named."""
_WHERE = re.compile(r"(?P<what>.*?) - at `\$?(?P<path>.*)`", re.DOTALL)
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(?P<field>.*)`", re.DOTALL)


def media_type(header: str | None) -> str:
    """The media type of a Content-Type header without its parameters; JSON when there is none."""
    return JSON if not header else header.partition(";")[0].strip().lower()


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    known = _decoders.get(kind)
    if known is None:
        known = _decoders[kind] = msgspec.json.Decoder(kind)
    return known


def decode(body: bytes, kind: type[T] | Any, content_type: str | None, allowed: tuple[str, ...] = (JSON,)) -> Any:
    """The body as its type. HttpError 415 or 400 when it is no JSON; Invalid names what does not fit."""
    if not body:
        raise HttpError(400, "The body is empty.")
    if content_type != JSON and media_type(content_type) not in allowed:
        raise HttpError(415, f"Send the body as {' or '.join(allowed)}.", {"accept": ", ".join(allowed)})
    try:
        body.decode()  # raw parts of a body are taken over unread, so their bytes are checked here
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as wrong:
        _check_syntax(body, "The body")
        raise Invalid(_field_errors(wrong, body, kind)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise HttpError(400, f"The body is not valid JSON: {wrong}.") from None


def _check_syntax(body: bytes | msgspec.Raw, what: str) -> None:
    """HttpError 400 when it is no JSON at all: the decoder complains of the first wrong type before it has read on."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)  # reads all of it and makes nothing of it
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise HttpError(400, f"{what} is not valid JSON: {wrong}.") from None


class _Counted:
    """An item of an array that is only counted."""


def _check_count(body: bytes, most: int) -> None:
    """
    Invalid when an array has more items: counted one by one, as all at once a body of 16 MB may be 600 MB of items.

    An array that is none, or no JSON, passes: whoever decodes it says so.
    """
    if body.count(b",") < COMMAS_AN_ITEM * most:
        return
    count = 0
    item = _Counted()

    def counted(_kind: type, _value: object) -> _Counted:
        nonlocal count
        count += 1
        if count > most:
            raise OverflowError
        return item

    try:
        msgspec.json.Decoder(list[_Counted], dec_hook=counted).decode(body)
    except OverflowError:
        raise Invalid([FieldError("body", f"must hold 1 to {most} items, not more")]) from None
    except (msgspec.DecodeError, RecursionError):
        return


class Many(Generic[T]):
    """The items of a batch, None for one that does not fit its type, and what is wrong with those."""

    def __init__(self) -> None:
        self.items: list[T | None] = []
        self.errors: list[FieldError] = []


def decode_many(body: bytes, kind: type[T], content_type: str | None, most: int) -> Many[T]:
    """An array or lines of JSON as items of a type. HttpError 400 when one is no JSON; Invalid for their number."""
    is_array = media_type(content_type) != NDJSON
    if not is_array:
        if (lines := body.count(b"\n")) > 2 * most:  # counted before anything is made of them
            raise Invalid([FieldError("body", f"must hold 1 to {most} items, not {lines} lines")])
        raws = [msgspec.Raw(line) for line in body.split(b"\n") if line.strip()]
    else:
        _check_count(body, most)
        raws = decode(body, list[msgspec.Raw], content_type, (JSON, NDJSON))
    if not 1 <= len(raws) <= most:
        raise Invalid([FieldError("body", f"must hold 1 to {most} items, not {len(raws)}")])
    many: Many[T] = Many()
    if is_array:
        # All at once, in C. When one is wrong they are looked at one by one, to say which and why.
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            many.items = _decoder(GenericAlias(list, (kind,))).decode(body)
            return many
    decoder = _decoder(kind)
    for index, raw in enumerate(raws):
        try:
            bytes(raw).decode()
            many.items.append(decoder.decode(raw))
        except msgspec.ValidationError as wrong:
            _check_syntax(raw, f"Item {index}")
            many.items.append(None)
            # Only so many are listed: of items behind those it is enough to know that they are wrong.
            all_told = len(many.errors) >= MOST_LISTED
            errors = [field_error(wrong)] if all_told else _field_errors(wrong, raw, kind)
            many.errors += [FieldError(f"[{index}].{error.field}", error.message) for error in errors]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            raise HttpError(400, f"Item {index} is not valid JSON: {wrong}.") from None
    return many


def field_error(wrong: msgspec.ValidationError) -> FieldError:
    """The path and the complaint in msgspec's message."""
    path, what = _complaint(wrong)
    return FieldError(path.lstrip(".") or "body", what)


def _complaint(wrong: msgspec.ValidationError) -> tuple[str, str]:
    text = str(wrong)
    match = _WHERE.fullmatch(text)
    what, path = (match["what"], match["path"]) if match else (text, "")
    named = _FIELD.fullmatch(what)
    if named:
        path = f"{path}.{named['field']}"
        what = "is required" if "missing" in what else "is not a field here"
    return path, what


def _field_errors(wrong: msgspec.ValidationError, body: bytes | msgspec.Raw, kind: Any) -> list[FieldError]:
    """What is wrong with each field of an object; the decoder stops at the first, and says no more of large bodies."""
    met = [field_error(wrong)]
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or bytes(body).count(b",") > COMMAS_NAMED:
        return met
    try:
        given = _decoder(dict[str, msgspec.Raw]).decode(body)
    except msgspec.ValidationError:
        return met  # it is no object
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    errors: list[FieldError] = []
    for name, raw in given.items():
        if name not in fields:
            errors.append(FieldError(name, "is not a field here"))
            continue
        try:
            _decoder(fields[name].type).decode(raw)
        except msgspec.ValidationError as also:
            path, what = _complaint(also)
            errors.append(FieldError(name + path, what))
    errors += [FieldError(name, "is required") for name in fields if fields[name].required and name not in given]
    return errors or met


class Body(AbstractDTO[T]):
    """Litestar's hook for decoding `data`: ours, with the schema that Litestar writes for the type."""

    config = DTOConfig()
    allowed: ClassVar[tuple[str, ...]] = (JSON,)

    def decode_bytes(self, value: bytes) -> Any:
        """The request's body as the type of `data`."""
        return self.decoded(value, self.asgi_connection.headers.get("content-type"))

    @classmethod
    def decoded(cls, value: bytes, content_type: str | None) -> Any:
        """A body of that media type as the type of `data`."""
        return decode(value, cls.model_type, content_type, cls.allowed)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Nothing to prepare."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """The schema of the type itself."""
        del handler_id
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """None: the type is used as it is."""
        del model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """None: the type is used as it is."""
        del field_definition
        return False


class PatchBody(Body[T]):
    """As Body, for JSON merge patches, which may also come as plain JSON."""

    allowed = (JSON, MERGE_PATCH)

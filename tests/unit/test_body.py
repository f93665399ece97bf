"""Bodies of batches: what is wrong with them is found without a heap of objects being made of them first."""

import contextlib
import tracemalloc

import pytest

from tasktide.domain.errors import FieldError, Invalid
from tasktide.domain.fields import NewTask
from tasktide.interfaces.rest.auth import Credentials
from tasktide.interfaces.rest.body import JSON, decode, decode_many
from tasktide.interfaces.status import HttpError

MOST = 100


def wrong_in(body: bytes) -> list[FieldError]:
    with contextlib.suppress(Invalid):
        return decode_many(body, NewTask, JSON, MOST).errors
    with pytest.raises(Invalid) as refused:
        decode_many(body, NewTask, JSON, MOST)
    return list(refused.value.errors)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[" + b"1.5," * 1_000_000 + b"1]", FieldError("body", "must hold 1 to 100 items, not more")),
        (b"[" + b"{}," * 1_000_000 + b"{}]", FieldError("body", "must hold 1 to 100 items, not more")),
        (b"[[" + b"1.5," * 1_000_000 + b"1]]", FieldError("[0].body", "Expected `object`, got `array`")),
        (b'{"title": [' + b"1.5," * 1_000_000 + b"1]}", FieldError("body", "Expected `array`, got `object`")),
    ],
    ids=["numbers", "objects", "a list in the list", "no list"],
)
def test_a_body_of_a_million_values_is_refused_in_little_memory(body: bytes, error: FieldError) -> None:
    tracemalloc.start()
    try:
        wrong = wrong_in(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert wrong == [error]
    assert peak < 10 * len(body)  # it is text for a moment, and what is counted exists while it is


def test_items_of_many_numbers_are_read_as_they_are() -> None:
    payload = b"[" + b"1," * 5_000 + b"1]"
    body = b"[" + b",".join([b'{"handler": "x", "payload": %b}' % payload] * MOST) + b"]"
    many = decode_many(body, NewTask, JSON, MOST)
    assert [bytes(item.payload) for item in many.items if item] == [payload] * MOST
    with pytest.raises(HttpError, match="not valid JSON"):
        decode_many(body[:-1] + b",]", NewTask, JSON, MOST)


def test_every_field_of_a_wrong_type_is_named() -> None:
    body = b'{"labels": ["a", 5], "title": 7, "nope": 1, "priority": "high", "observer_ids": [1, {"x": 2}]}'
    wrong = [
        FieldError("labels[1]", "Expected `str`, got `int`"),
        FieldError("title", "Expected `str`, got `int`"),
        FieldError("nope", "is not a field here"),
        FieldError("priority", "Expected `int | null`, got `str`"),
        FieldError("observer_ids[1]", "Expected `int`, got `object`"),
    ]
    with pytest.raises(Invalid) as refused:
        decode(body, NewTask, JSON)
    assert list(refused.value.errors) == wrong
    in_a_batch = [FieldError(f"[1].{error.field}", error.message) for error in wrong]
    assert wrong_in(b'[{"title": "fine"},%b]' % body) == in_a_batch
    with pytest.raises(Invalid) as refused:
        decode(b'{"password": 5}', Credentials, JSON)
    assert [error.field for error in refused.value.errors] == ["password", "email"]
    with pytest.raises(HttpError, match="not valid JSON"):
        decode(body + b"}", NewTask, JSON)


def test_of_an_object_of_a_million_fields_one_is_named() -> None:
    body = b"{" + b",".join(b'"f%d": 1' % n for n in range(1_000_000)) + b"}"
    with pytest.raises(Invalid) as refused:
        decode(body, NewTask, JSON)
    assert list(refused.value.errors) == [FieldError("f0", "is not a field here")]

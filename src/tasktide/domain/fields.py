"""The settable fields of a task as a caller sends them, and the check that turns them into values."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tasktide.domain import text, times
from tasktide.domain.errors import FieldError, Invalid, invalid
from tasktide.domain.handlers import NAME_LENGTH
from tasktide.domain.ids import MAX_ID, TaskId, UserId
from tasktide.domain.tasks import DEFAULT_HANDLER, DEFAULT_MAX_ATTEMPTS, NULL, Status, Task
from tasktide.domain.times import Timestamp

# Deeper JSON breaks readers down the line (SQLite stops at 2,000 levels, Python's recursion near 1,000).
MAX_DEPTH = 100
MAX_PRIORITY = 9
MAX_ATTEMPTS = 100


class TaskLimits(Struct, frozen=True, kw_only=True):
    """How large a task may be: characters of text, counts of things, bytes of JSON."""

    title: int = 500
    description: int = 20_000
    labels: int = 20
    label: int = 50
    observers: int = 100
    payload_bytes: int = 65_536


class TaskFields(Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The body of PUT and PATCH. Absent: the default (PUT) or as it was (PATCH); null: the default."""

    title: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET
    priority: int | UnsetType | None = UNSET
    labels: list[str] | UnsetType | None = UNSET
    performer_id: int | UnsetType | None = UNSET
    observer_ids: list[int] | UnsetType | None = UNSET
    due_at: str | UnsetType | None = UNSET
    handler: str | UnsetType | None = UNSET
    payload: Raw = msgspec.field(default_factory=Raw)
    run_at: str | UnsetType | None = UNSET
    max_attempts: int | UnsetType | None = UNSET


class NewTask(TaskFields, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The body of POST /tasks: a title, a payload, or both, and any other field."""

    creator_id: int | UnsetType | None = UNSET


DEFAULTS: dict[str, object] = {
    "description": "",
    "status": Status.PENDING,
    "priority": 0,
    "labels": (),
    "performer_id": None,
    "observer_ids": (),
    "due_at": None,
    "handler": None,
    "payload": NULL,
    "run_at": None,
    "max_attempts": DEFAULT_MAX_ATTEMPTS,
}


def checked(fields: TaskFields, limits: TaskLimits) -> dict[str, object]:
    """The values of the fields that were sent, in stored form; Invalid lists every wrong one."""
    values: dict[str, object] = {}
    errors: list[FieldError] = []
    for name, sent in zip(_CHECKS, _sent(fields), strict=True):
        if sent is UNSET:
            continue
        if sent is None:
            values[name] = DEFAULTS[name]
            continue
        try:
            values[name] = _CHECKS[name](sent, limits)
        except Invalid as wrong:
            errors.extend(wrong.errors)
    payload = bytes(fields.payload)
    if payload:
        wrong_payload = _check_payload(payload, limits.payload_bytes)
        errors.extend(wrong_payload)
        # Without its white space, as the store keeps it: what is the same must look the same.
        values["payload"] = fields.payload if wrong_payload else Raw(msgspec.json.format(payload, indent=-1))
    if errors:
        raise Invalid(errors)
    return values


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """Checked values of a POST, completed by what they imply; Invalid when they cannot make a task.

    A payload without a handler goes to the default one; a job without a title is called after its handler.
    """
    has_payload = "payload" in values and bytes(values["payload"]) != b"null"
    handler = values.get("handler") or (DEFAULT_HANDLER if has_payload else None)
    if handler is None and "title" not in values:
        raise Invalid([FieldError("title", "is required, unless there is a payload")])
    if handler is not None and values.get("status", Status.PENDING) is not Status.PENDING:
        raise Invalid([FieldError("status", "is set by workers when there is a handler")])
    values.setdefault("title", handler)
    values["handler"] = handler
    return values


def users_named(values: Mapping[str, Any]) -> list[tuple[str, UserId]]:
    """The users that checked values refer to, each with the field that does."""
    singles = ("creator_id", "performer_id")
    named: list[tuple[str, UserId]] = [(field, values[field]) for field in singles if values.get(field) is not None]
    if observers := values.get("observer_ids"):
        named += [(f"observer_ids[{i}]", user_id) for i, user_id in enumerate(observers)]
    return named


def new(values: dict[str, Any], task_id: TaskId, creator_id: UserId, now: Timestamp) -> Task:
    """The task that completed values make."""
    status = values.get("status", Status.PENDING)
    return Task(
        id=task_id,
        creator_id=creator_id,
        created_at=now,
        updated_at=now,
        started_at=now if status is Status.IN_PROGRESS else None,
        finished_at=None if status.is_open else now,
        **values,
    )


def time(field: str, value: str) -> Timestamp:
    """A moment that somebody sent, in the one form; Invalid names the field."""
    try:
        return times.parse(value)
    except ValueError as wrong:
        raise invalid(field, str(wrong)) from None


def implied(values: dict[str, object], task: Task) -> dict[str, object]:
    """Checked values of an edit with what they imply: a payload makes a job, as it does on submission."""
    payload = values.get("payload")
    has_payload = isinstance(payload, Raw) and bytes(payload) != b"null"
    handler = values.get("handler", task.handler)
    return values | {"handler": DEFAULT_HANDLER} if has_payload and handler is None else values


def replaced(values: dict[str, object], task: Task) -> dict[str, object]:
    """Checked values of a PUT made whole: what was not sent goes back to its default."""
    if "title" not in values:
        raise Invalid([FieldError("title", "is required")])
    # A job's status is not a caller's to set, so leaving it out cannot mean pending.
    kept: dict[str, object] = {"status": task.status} if task.is_job else {}
    return DEFAULTS | kept | values


def _title(value: str, limits: TaskLimits) -> str:
    return _one_line("title", value, limits.title)


def _description(value: str, limits: TaskLimits) -> str:
    _raise(text.check_body("description", value, limits.description))
    return value


def _status(value: Status, _limits: TaskLimits) -> Status:
    return value


def _priority(value: int, _limits: TaskLimits) -> int:
    return _between("priority", value, 0, MAX_PRIORITY)


def _labels(value: list[str], limits: TaskLimits) -> tuple[str, ...]:
    if len(value) > limits.labels:
        raise Invalid([FieldError("labels", f"must be at most {limits.labels} labels")])
    _raise([e for i, label in enumerate(value) for e in text.check_line(f"labels[{i}]", label, limits.label)])
    return tuple(dict.fromkeys(value))


def _performer(value: int, _limits: TaskLimits) -> int:
    return _between("performer_id", value, 1, MAX_ID)


def _observers(value: list[int], limits: TaskLimits) -> tuple[int, ...]:
    if len(value) > limits.observers:
        raise Invalid([FieldError("observer_ids", f"must be at most {limits.observers} users")])
    for index, user_id in enumerate(value):
        _between(f"observer_ids[{index}]", user_id, 1, MAX_ID)
    return tuple(dict.fromkeys(value))


def _due_at(value: str, _limits: TaskLimits) -> Timestamp:
    return time("due_at", value)


def _handler(value: str, _limits: TaskLimits) -> str:
    return _one_line("handler", value, NAME_LENGTH)


def _run_at(value: str, _limits: TaskLimits) -> Timestamp:
    return time("run_at", value)


def _max_attempts(value: int, _limits: TaskLimits) -> int:
    return _between("max_attempts", value, 1, MAX_ATTEMPTS)


_CHECKS: dict[str, Callable[[Any, TaskLimits], object]] = {
    "title": _title,
    "description": _description,
    "status": _status,
    "priority": _priority,
    "labels": _labels,
    "performer_id": _performer,
    "observer_ids": _observers,
    "due_at": _due_at,
    "handler": _handler,
    "run_at": _run_at,
    "max_attempts": _max_attempts,
}


_sent = attrgetter(*_CHECKS)


def _one_line(field: str, value: str, longest: int) -> str:
    _raise(text.check_line(field, value, longest))
    return value


def _between(field: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise Invalid([FieldError(field, f"must be {low} to {high}")])
    return value


def _raise(errors: list[FieldError]) -> None:
    if errors:
        raise Invalid(errors)


def _check_payload(payload: bytes, longest: int) -> list[FieldError]:
    if len(payload) > longest:
        return [FieldError("payload", f"must be at most {longest} bytes of JSON")]
    if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH and depth(payload) > MAX_DEPTH:
        return [FieldError("payload", f"must not be nested deeper than {MAX_DEPTH} levels")]
    try:
        msgspec.json.decode(payload)
    except msgspec.DecodeError as wrong:
        return [FieldError("payload", str(wrong))]
    return []


def depth(json: bytes) -> int:
    """How deep a JSON text nests, without building it."""
    level = deepest = 0
    in_string = escaped = False
    for byte in json:
        if in_string:
            in_string = escaped or byte != 0x22  # noqa: PLR2004 - the quotation mark
            escaped = not escaped and byte == 0x5C  # noqa: PLR2004 - the backslash
        elif byte == 0x22:  # noqa: PLR2004
            in_string = True
        elif byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest

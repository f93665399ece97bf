"""The OpenAPI description: what Litestar derives from the routes, with limits, headers and examples put in."""

from typing import Any

import msgspec
from litestar import Litestar

from tasktide.domain import fields, paging, users, webhooks
from tasktide.domain.ids import MAX_ID
from tasktide.domain.notifications import MESSAGE_LENGTH
from tasktide.usecases.tasks import MOST_WAIT_S

Json = dict[str, Any]

_ID: Json = {"minimum": 1, "maximum": MAX_ID}
_LIMITS = fields.TaskLimits()
_TIME: Json = {"format": "date-time"}
# What the types do not say, by field name, for bodies that clients send.
_FIELDS: dict[str, Json] = {
    "title": {"minLength": 1, "maxLength": _LIMITS.title},
    "description": {"maxLength": _LIMITS.description},
    "priority": {"minimum": 0, "maximum": fields.MAX_PRIORITY},
    "performer_id": _ID,
    "creator_id": _ID,
    "task_id": _ID,
    "due_at": _TIME,
    "run_at": _TIME,
    "max_attempts": {"minimum": 1, "maximum": fields.MAX_ATTEMPTS},
    "message": {"minLength": 1, "maxLength": MESSAGE_LENGTH},
    "name": {"minLength": 1, "maxLength": users.NAME_LENGTH},
    "email": {"format": "email", "maxLength": users.EMAIL_LENGTH},
    "url": {"format": "uri", "minLength": 1, "maxLength": webhooks.URL_LENGTH},
    "password": {"minLength": users.PASSWORD_LENGTH[0], "maxLength": users.PASSWORD_LENGTH[1]},
}
_LISTS: dict[str, Json] = {
    "labels": {
        "maxItems": _LIMITS.labels,
        "items": {"type": "string", "minLength": 1, "maxLength": _LIMITS.label},
    },
    "observer_ids": {"maxItems": _LIMITS.observers, "items": {"type": "integer", **_ID}},
    "user_ids": {"minItems": 1, "items": {"type": "integer", **_ID}},
}
_SENT = (
    "NewTask",
    "TaskFields",
    "DirectMessage",
    "Registration",
    "Credentials",
    "Profile",
    "RoleChange",
    "WebhookAddress",
)
_TASK: Json = {
    "id": 12, "title": "Water the plants", "description": "", "status": "pending", "priority": 5,
    "labels": ["office"], "creator_id": 1, "performer_id": 2, "observer_ids": [], "due_at": "2026-12-01T09:00:00.000Z",
    "handler": None, "payload": None, "run_at": None, "result": None, "error": None, "attempts": 0, "max_attempts": 3,
    "version": 1, "created_at": "2026-11-20T09:30:00.000Z", "updated_at": "2026-11-20T09:30:00.000Z",
    "started_at": None, "finished_at": None,
}  # fmt: skip
_EXAMPLES: dict[str, Json] = {
    "Registration": {"email": "ann@example.org", "name": "Ann", "password": "correct horse"},
    "Credentials": {"email": "ann@example.org", "password": "correct horse"},
    "Profile": {"name": "Ann B."},
    "RoleChange": {"role": "admin"},
    "NewTask": {"title": "Water the plants", "performer_id": 2, "priority": 5, "labels": ["office"]},
    "TaskFields": {"title": "Water the plants", "status": "done"},
    "DirectMessage": {"user_ids": [2], "message": "Lunch is ready."},
    "Task": _TASK,
    "Accepted": {"accepted": 2, "ids": [12, 13]},
    "TaskResult": {
        "task_id": 12,
        "result": "!dlrow olleH (len=12)",
        "processed_at": "2026-11-20T09:30:00.000Z",
    },
    "Sent": {"accepted": 1},
    "WebhookAddress": {"url": "https://example.org/tasktide"},
    "Trial": {"delivered": True, "detail": "The receiver has taken it."},
}
_IDEMPOTENCY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body within 24 hours give the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
_IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": 'Only if the version is still this one, such as `"3"`.',
    "schema": {"type": "string"},
}
_IF_NONE_MATCH: Json = _IF_MATCH | {
    "name": "If-None-Match",
    "description": "304 when this is still the version.",
}
_KEYED = ("/auth/register", "/tasks", "/tasks/batch", "/notifications", "/notifications/batch")
_TAGGED = ("/tasks/{task_id}", "/users/{user_id}", "/auth/me", "/notifications/preferences")
_LAST_EVENT_ID: Json = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Resume behind this event.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,16}$"},
}
_PUBLIC = ("/auth/register", "/auth/login", "/health", "/livez", "/readyz", "/health/liveness", "/health/readiness",
           "/metrics")  # fmt: skip
_PARAMETERS: dict[str, Json] = {
    "limit": {"minimum": 1, "maximum": paging.MAX_LIMIT},
    "wait": {"minimum": 0, "maximum": MOST_WAIT_S},
    "after": {"minimum": 0, "maximum": MAX_ID},
    "sort": {"enum": [f"{sign}{sort}" for sort in paging.SORTS for sign in ("", "-")]},
    "q": {"maxLength": 500},
}
_PROBLEM: Json = {
    "description": "What went wrong.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_EVENTS: Json = {"type": "string", "description": "A stream of server-sent events."}


def describe(app: Litestar) -> bytes:
    """The whole description as JSON."""
    text = msgspec.json.encode(app.openapi_schema.to_schema()).decode()
    for generic, plain in _page_names(app).items():
        text = text.replace(generic, plain)
    whole: Json = msgspec.json.decode(text)
    for name in _SENT:
        _complete(whole["components"]["schemas"][name])
    for name, example in _EXAMPLES.items():
        whole["components"]["schemas"][name]["examples"] = [example]
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            _headers(path, method, operation)
            _bodies(path, method, operation)
    return msgspec.json.encode(whole)


def _page_names(app: Litestar) -> dict[str, str]:
    names = (app.openapi_schema.components.schemas or {}).keys()
    return {name: f"{name.rstrip('_').rpartition('.')[2]}Page" for name in names if name.startswith("Page_")}


def _complete(schema: Json) -> None:
    schema["additionalProperties"] = False
    for name, prop in schema["properties"].items():
        if name in _FIELDS:
            _tighten(prop, ("string", "integer"), _FIELDS[name])
        if name in _LISTS:
            _tighten(prop, ("array",), _LISTS[name])


def _tighten(prop: Json, types: tuple[str, ...], limits: Json) -> None:
    for one in prop.get("oneOf", [prop]):
        if one.get("type") in types:
            one.update(limits)


def _headers(path: str, method: str, operation: Json) -> None:
    parameters = operation.setdefault("parameters", [])
    if method == "post" and path in _KEYED:
        parameters.append(_IDEMPOTENCY)
    if path in _TAGGED and method == "get":
        parameters.append(_IF_NONE_MATCH)
        operation["responses"]["304"] = {"description": "It is still at that version."}
    if path in _TAGGED and method in {"put", "patch", "delete"}:
        parameters.append(_IF_MATCH)
    for parameter in parameters:
        parameter.get("schema", {}).update(_PARAMETERS.get(parameter["name"], {}))


def _bodies(path: str, method: str, operation: Json) -> None:
    answers = operation["responses"]
    operation["summary"] = operation["description"].partition(".")[0].partition(":")[0]
    if path in _PUBLIC:
        operation["security"] = []
    if method == "patch":
        content = operation["requestBody"]["content"]
        content["application/merge-patch+json"] = content["application/json"]
    if path == "/metrics":
        answers["200"]["content"]["text/plain"] = {"schema": {"type": "string"}}
    if path == "/events":
        operation["parameters"].append(_LAST_EVENT_ID)
        answers["200"]["content"] = {"text/event-stream": {"schema": _EVENTS}}
        answers |= dict.fromkeys(("401", "429", "503"), _PROBLEM)
    answers.pop("400" if "requestBody" not in operation else "", None)
    answers.setdefault("422", _PROBLEM)
    for status, answer in answers.items():
        if answer.get("description") == "Additional response":
            answer["description"] = "Accepted." if status == "202" else "Done."

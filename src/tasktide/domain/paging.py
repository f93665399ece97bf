"""Pages of lists by keyset: a cursor names the last row seen, so concurrent inserts repeat and hide nothing."""

import base64
import binascii
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from tasktide.domain.errors import invalid
from tasktide.domain.ids import MAX_ID
from tasktide.domain.tasks import Status, Task, due_key
from tasktide.domain.times import Timestamp

T = TypeVar("T")

DEFAULT_LIMIT = 50
# Characters of a text to search for.
TEXT_LENGTH = 500
MAX_LIMIT = 200
SORTS = ("created_at", "updated_at", "priority", "due_at")


class Page(Struct, Generic[T], frozen=True):
    """Some items, and the cursor of the next page when there is one."""

    items: list[T]
    next_cursor: str | None = None


class Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last row of a page: in which order it was read, its sort value and its id."""

    order: str
    value: str | int
    id: int


class TaskFilter(Struct, frozen=True, kw_only=True):
    """Which tasks: all conditions hold at once; of `statuses` any."""

    performer_id: int | None = None
    creator_id: int | None = None
    observer_id: int | None = None
    statuses: tuple[Status, ...] = ()
    handler: str | None = None
    job: bool | None = None
    label: str | None = None
    q: str | None = None
    due_before: Timestamp | None = None
    updated_after: Timestamp | None = None

    def matches(self, task: Task) -> bool:
        """Whether a task meets all the conditions, as the stores decide it."""
        wanted = (
            (self.performer_id, task.performer_id),
            (self.creator_id, task.creator_id),
            (self.handler, task.handler),
        )
        return (
            all(one is None or one == is_so for one, is_so in wanted)
            and (self.job is None or self.job is task.is_job)
            and (self.observer_id is None or self.observer_id in task.observer_ids)
            and (not self.statuses or task.status in self.statuses)
            and (self.label is None or self.label in task.labels)
            and (self.q is None or any(self.q.lower() in text.lower() for text in (task.title, task.description)))
            and (self.due_before is None or (task.due_at is not None and task.due_at < self.due_before))
            and (self.updated_after is None or task.updated_at > self.updated_after)
        )


class TaskQuery(Struct, frozen=True, kw_only=True):
    """One page of tasks: `sort` is one of SORTS; rows after `after` in that order; at most `limit`."""

    filter: TaskFilter = TaskFilter()
    sort: str = "created_at"
    descending: bool = True
    after: Cursor | None = None
    limit: int = DEFAULT_LIMIT

    @property
    def order(self) -> str:
        """The order's name, as a cursor remembers it."""
        return f"-{self.sort}" if self.descending else self.sort

    def behind(self, word: str | None) -> "TaskQuery":
        """The page that begins behind a cursor's word; Invalid when it is none of this order."""
        return msgspec.structs.replace(self, after=decode(word, self.order))

    def cursor_of(self, task: Task) -> str:
        """The cursor of the page behind a task."""
        value = due_key(task) if self.sort == "due_at" else getattr(task, self.sort)
        return encode(Cursor(self.order, value, task.id))


def encode(cursor: Cursor) -> str:
    """The cursor as an opaque word for URLs."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def decode(word: str | None, order: str) -> Cursor | None:
    """The cursor behind a word; Invalid when it is none, or was made for another order."""
    if word is None:
        return None
    try:
        raw = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=Cursor)
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        raise invalid("cursor", "is not a cursor of this list") from None
    if cursor.order != order:
        raise invalid("cursor", "was made for another sort order")
    is_number = order.lstrip("-").startswith(("priority", "history"))
    if isinstance(cursor.value, int) is not is_number or not 0 <= cursor.id <= MAX_ID or not _is_small(cursor.value):
        raise invalid("cursor", "is not a cursor of this list")
    return cursor


def _is_small(value: str | int) -> bool:
    return "\0" not in value if isinstance(value, str) else abs(value) <= MAX_ID


def check_text(field: str, text: str | None) -> str | None:
    """A text to search for; Invalid when none of ours can hold it."""
    if text is not None and (len(text) > TEXT_LENGTH or "\0" in text):
        raise invalid(field, f"must be at most {TEXT_LENGTH} characters, none of them NUL")
    return text


def check_limit(limit: int) -> int:
    """The page size; Invalid outside 1..200."""
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid("limit", f"must be 1 to {MAX_LIMIT}")
    return limit

"""What can go wrong, as the caller should understand it; `interfaces/status.py` maps each to a status."""

from collections.abc import Sequence

from msgspec import Struct

# Wrong fields that the error for a batch lists.
MOST_LISTED = 100


class FieldError(Struct, frozen=True):
    """One thing wrong with one field of the input; `field` is a path such as `labels[2]`."""

    field: str
    message: str


class TasktideError(Exception):
    """The root of every error that a caller may meet; `code` is a stable word for programs."""

    code = "error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code

    @property
    def whole(self) -> str:
        """For operators: what callers are told, and what is not for them."""
        return self.detail


class NotFound(TasktideError):
    """There is no such thing, or none that this caller may know of."""

    code = "not_found"


class Conflict(TasktideError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class Stale(TasktideError):
    """The caller's version of the thing is not the current one."""

    code = "stale_version"


class Forbidden(TasktideError):
    """The caller is known, and may not do this."""

    code = "forbidden"


class Unauthenticated(TasktideError):
    """The caller is not known: no token, a bad one or a dead one."""

    code = "unauthenticated"


class Invalid(TasktideError):
    """The input can be read, and says something that cannot be."""

    code = "invalid"

    def __init__(self, errors: Sequence[FieldError], detail: str = "The request has invalid fields.") -> None:
        super().__init__(detail)
        self.errors = tuple(errors)

    @classmethod
    def of_many(cls, errors: Sequence[FieldError]) -> "Invalid":
        """The error for a batch: lists the first of its wrong fields, `[index].field`, and says how many there are."""
        listed = sorted(errors, key=lambda error: int(error.field[1 : error.field.index("]")]))
        if len(listed) <= MOST_LISTED:
            return cls(listed)
        return cls(
            listed[:MOST_LISTED], f"The request has {len(listed)} invalid fields; the first {MOST_LISTED} are listed."
        )


class Limited(TasktideError):
    """The caller asked too often; `retry_after_s` tells when to come back."""

    code = "rate_limited"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(TasktideError):
    """An engine is away, full or too busy. Nothing was accepted, or the caller cannot know: repeat it."""

    code = "unavailable"

    def __init__(self, engine: str, detail: str, retry_after_s: int = 1, *, said: str = "") -> None:
        super().__init__(detail)
        self.engine = engine
        self.retry_after_s = retry_after_s
        self._said = said

    @classmethod
    def since(cls, engine: str, detail: str, reason: Exception) -> "Unavailable":
        """As an engine's client tells it: its words may hold addresses and names, so callers do not get them."""
        return cls(engine, detail, said=str(reason) or type(reason).__name__)

    @property
    def whole(self) -> str:
        """See above; what the engine or its client said."""
        return f"{self.detail} ({self._said})" if self._said else self.detail


def invalid(field: str, message: str) -> Invalid:
    """The error for a single wrong field."""
    return Invalid([FieldError(field, message)])

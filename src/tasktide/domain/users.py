"""Users, sessions and the actor on whose behalf something is done."""

import re
from enum import StrEnum

from msgspec import Struct

from tasktide.domain import text
from tasktide.domain.errors import FieldError, Invalid
from tasktide.domain.ids import UserId
from tasktide.domain.times import NEVER, Timestamp

PASSWORD_LENGTH = (8, 128)
NAME_LENGTH = 100
EMAIL_LENGTH = 254
# Nothing that means something in a header of a mail, so that an address is one address.
_OTHER = r"@\s\x00-\x1f\x7f<>()\[\]\\,;:\""
_EMAIL = re.compile(rf"[^{_OTHER}]{{1,64}}@[^{_OTHER}.]+(\.[^{_OTHER}.]+)*")


class Role(StrEnum):
    """What a user may do beyond their own things."""

    ADMIN = "admin"
    MEMBER = "member"


class User(Struct, frozen=True, kw_only=True):
    """A person or a program with an account."""

    id: UserId
    email: str
    name: str
    role: Role
    created_at: Timestamp


class Account(Struct, frozen=True, kw_only=True):
    """A user with what must never leave the house; `version` grows by one with each change."""

    user: User
    password_hash: str
    version: int = 1


class Session(Struct, frozen=True, kw_only=True):
    """One sign-in; deleting it kills its token."""

    id: str
    user_id: UserId
    expires_at: Timestamp


class Actor(Struct, frozen=True):
    """Who asks: resolved from a token once a request."""

    user_id: UserId
    role: Role
    session_id: str
    expires_at: Timestamp

    @property
    def is_admin(self) -> bool:
        """Whether the admin's rules apply."""
        return self.role is Role.ADMIN


# Whoever works at the machine itself, with the data in reach.
OPERATOR = Actor(UserId(0), Role.ADMIN, "", NEVER)


def check_registration(email: str, name: str, password: str, name_length: int = NAME_LENGTH) -> str:
    """The email in its stored form (lower case, trimmed); Invalid lists all that is wrong."""
    email = email.strip().lower()
    errors = [*_check_email(email), *check_name(name, name_length), *check_password("password", password)]
    if errors:
        raise Invalid(errors)
    return email


def check_name(name: str, longest: int = NAME_LENGTH) -> list[FieldError]:
    """What is wrong with a display name."""
    return text.check_line("name", name, longest)


def check_password(field: str, password: str) -> list[FieldError]:
    """What is wrong with a new password; its content is the user's business."""
    low, high = PASSWORD_LENGTH
    return [] if low <= len(password) <= high else [FieldError(field, f"must be {low} to {high} characters")]


def is_email(value: str) -> bool:
    """Whether mail can be sent to it, as far as its form tells."""
    return _EMAIL.fullmatch(value) is not None and not text.check_line("email", value, EMAIL_LENGTH)


def _check_email(email: str) -> list[FieldError]:
    if not is_email(email):
        return [FieldError("email", "must be an email address")]
    return []

"""Dead letters, for admins."""

import base64

from litestar import delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from tasktide.domain import paging
from tasktide.domain.letters import DeadLetter
from tasktide.domain.paging import Cursor, Page
from tasktide.domain.times import Timestamp
from tasktide.interfaces import actor as actors
from tasktide.interfaces.rest.answers import Answer, Incoming, Platforms, paged, path_id, problems, tagged

TAGS = ["letters"]
# A letter has one version: nobody edits what could not be handled.
UNCHANGED = 1


class Letter(Struct, frozen=True):
    """A dead letter; `value` is text when the record was text, `value_base64` always holds its bytes."""

    id: int
    topic: str
    pipeline: str
    position: int
    key: str
    reason: str
    attempts: int
    parked_at: Timestamp
    value: str | None
    value_base64: str


@get(
    "/letters",
    tags=TAGS,
    responses={200: ResponseSpec(Page[Letter], generate_examples=False), **problems(401, 403)},
)
async def find_letters(
    request: Incoming,
    platform: Platforms,
    limit: FromQuery[int] = paging.DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Answer:
    """Records that could not be handled, oldest first."""
    actor = actors.required(request.scope)
    size = paging.check_limit(limit)
    last = paging.decode(cursor, "letters")
    found = await platform.letters.find(actor, last.id if last else 0, size + 1)
    following = paging.encode(Cursor("letters", "", found[size - 1].id)) if len(found) > size else None
    return paged(request, Page([_shown(one) for one in found[:size]], following), following)


@get(
    "/letters/{letter_id:str}",
    tags=TAGS,
    responses={200: ResponseSpec(Letter, generate_examples=False), **problems(401, 403, 404)},
)
async def get_letter(request: Incoming, letter_id: FromPath[str], platform: Platforms) -> Answer:
    """One record with the reason why nobody could handle it."""
    actor = actors.required(request.scope)
    letter = await platform.letters.get(actor, path_id(letter_id, "dead letter"))
    return tagged(request, _shown(letter), UNCHANGED)


@post("/letters/{letter_id:str}/replay", status_code=204, tags=TAGS, responses=problems(401, 403, 404))
async def replay_letter(request: Incoming, letter_id: FromPath[str], platform: Platforms) -> None:
    """Put the record back onto its topic."""
    actor = actors.required(request.scope)
    await platform.letters.replay(actor, path_id(letter_id, "dead letter"))


@delete("/letters/{letter_id:str}", status_code=204, tags=TAGS, responses=problems(401, 403, 404))
async def drop_letter(request: Incoming, letter_id: FromPath[str], platform: Platforms) -> None:
    """Forget the record for good."""
    actor = actors.required(request.scope)
    await platform.letters.drop(actor, path_id(letter_id, "dead letter"))


def _shown(letter: DeadLetter) -> Letter:
    try:
        text = letter.value.decode()
    except UnicodeDecodeError:
        text = None
    return Letter(
        id=letter.id,
        topic=letter.topic,
        pipeline=letter.pipeline,
        position=letter.position,
        key=letter.key,
        reason=letter.reason,
        attempts=letter.attempts,
        parked_at=letter.parked_at,
        value=text,
        value_base64=base64.b64encode(letter.value).decode(),
    )


ROUTES = [find_letters, get_letter, replay_letter, drop_letter]

"""A workspace that looks lived in: people, tasks in every state, jobs good and bad, unread notifications."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from tasktide.domain.errors import Conflict, NotFound, Unavailable
from tasktide.domain.fields import NewTask, TaskFields
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.tasks import Status
from tasktide.domain.times import NEVER, Timestamp, later
from tasktide.domain.users import Actor, Role, User
from tasktide.interfaces.platform import Platform
from tasktide.usecases.notifications import DirectMessage

T = TypeVar("T")

DAY_S = 86_400.0
PATIENCE_S = 30.0
PEOPLE = (
    ("ada@example.org", "Ada Lindqvist"),
    ("ben@example.org", "Ben Okafor"),
    ("cleo@example.org", "Cleo Marchetti"),
    ("dan@example.org", "Dan Whitfield"),
)
# Title, labels, priority, days until due (None: not due), and where it stands.
TASKS: tuple[tuple[str, str, int, float | None, Status], ...] = (
    ("Replace the pump in greenhouse 2", "greenhouse,urgent", 9, 0.5, Status.IN_PROGRESS),
    ("Water the plants on the second floor", "office", 3, 0.2, Status.PENDING),
    ("Call the supplier about the late seedlings", "supply", 6, 1, Status.PENDING),
    ("Refund order 1042", "orders,urgent", 8, 0.1, Status.IN_PROGRESS),
    ("Check the address of order 1057", "orders", 5, 1, Status.PENDING),
    ("Answer the review of the watering can", "moderation", 4, 2, Status.PENDING),
    ("Hide the comment with the phone number", "moderation,urgent", 9, None, Status.DONE),
    ("Renew the certificate of the shop", "operations", 7, 5, Status.PENDING),
    ("Restore a backup, to see that it can be done", "operations", 6, 7, Status.PENDING),
    ("Move the nightly export to three o'clock", "operations", 2, None, Status.DONE),
    ("Write down how the heating is bled", "greenhouse,docs", 2, 14, Status.PENDING),
    ("Order labels for the autumn seeds", "supply", 4, 3, Status.DONE),
    ("Find out why order 998 was packed twice", "orders", 7, -1, Status.IN_PROGRESS),
    ("Sharpen the shears", "greenhouse", 1, None, Status.PENDING),
    ("Count the pots in the cellar", "stock", 3, 4, Status.CANCELLED),
    ("Translate the care sheet of the monstera", "docs", 2, 10, Status.PENDING),
    ("Photograph the new planters", "shop", 3, 2, Status.IN_PROGRESS),
    ("Put the planters online", "shop", 3, 3, Status.PENDING),
    ("Ask the carrier about fragile parcels", "supply", 5, 1, Status.PENDING),
    ("Test the alarm of greenhouse 1", "greenhouse", 8, 6, Status.PENDING),
    ("Sweep the loading bay", "stock", 1, None, Status.DONE),
    ("Repair the label printer", "stock,urgent", 8, -0.5, Status.FAILED),
    ("Prepare the figures of October", "office", 6, -2, Status.DONE),
    ("Prepare the figures of November", "office", 6, 9, Status.PENDING),
    ("Welcome the new colleague", "office", 5, 0.3, Status.PENDING),
    ("Set up the new colleague's account", "office,operations", 7, 0.3, Status.DONE),
    ("Take down the summer banner", "shop", 4, -3, Status.DONE),
    ("Draw the winter banner", "shop", 5, 2, Status.IN_PROGRESS),
    ("Check the fire extinguishers", "office", 9, 20, Status.PENDING),
    ("Return the damaged trolleys", "supply", 3, None, Status.CANCELLED),
    ("Approve the invoice of the glazier", "office", 6, 1, Status.PENDING),
    ("Block the account that sends spam", "moderation,urgent", 9, None, Status.DONE),
    ("Read the new rules for plant passports", "docs", 4, 12, Status.PENDING),
    ("Update the price of peat-free soil", "shop", 5, 0.5, Status.PENDING),
    ("Bring the fern back to life", "greenhouse", 2, None, Status.IN_PROGRESS),
    ("Choose a date for the stocktaking", "stock", 4, 6, Status.PENDING),
    ("Thank the customer who sent the photo", "shop", 1, 1, Status.DONE),
    ("Clean the water filters", "greenhouse", 6, -1, Status.PENDING),
)
# Handler, payload, most attempts, seconds from now.
JOBS: tuple[tuple[str, object, int, float], ...] = (
    ("reverse", "Hello world!", 3, 0),
    ("reverse", "A man, a plan, a canal: Panama", 3, 0),
    ("reverse", {"order": 1042, "currency": "EUR"}, 3, 0),
    ("reverse", ["monstera", "fern", "cactus"], 3, 0),
    ("sleep", {"seconds": 0.2}, 3, 0),
    ("sleep", {"seconds": 1_800}, 3, 0),
    ("fail", "the printer is out of paper", 1, 0),
    ("fail", "the carrier does not answer", 1, 0),
    ("fail", "the exchange rate is missing", 20, 0),
    ("fail", "the mailbox is full", 20, 0),
    ("sleep", {"seconds": "soon"}, 1, 0),
    ("reverse", "tomorrow's newsletter", 3, DAY_S),
)


class Demo(Struct, frozen=True):
    """Who can sign in, with one password for all."""

    emails: list[str]
    password: str
    tasks: int


async def is_empty(platform: Platform) -> bool:
    """Whether nobody has an account yet."""
    return not (await platform.users.find(None, 1)).items


async def plant(platform: Platform, now: Timestamp) -> Demo:
    """Fill an empty workspace; Conflict when it is not. The pipelines must run, here or in a server beside."""
    if not await is_empty(platform):
        raise Conflict(
            "There are accounts already, and a demo needs an empty data folder. Start without --demo to see what is "
            "there, or set TASKTIDE_DATA_DIR to another.",
            code="not_empty",
        )
    password = secrets.token_urlsafe(9)
    people: list[User] = [await platform.users.register(email, name, password) for email, name in PEOPLE]
    admin, *members = [_actor(user) for user in people]
    random = Random(4)  # noqa: S311 - the same workspace each time
    ids: list[tuple[Actor, TaskId, Status]] = []
    for number, (title, labels, priority, due, status) in enumerate(TASKS):
        creator = (admin, *members)[number % 4]
        performer, *others = random.sample(people, 3)
        task = await platform.submissions.submit(
            creator,
            NewTask(
                title=title,
                labels=labels.split(","),
                priority=priority,
                performer_id=performer.id,
                observer_ids=[other.id for other in others[: number % 3]],
                due_at=msgspec.UNSET if due is None else later(now, due * DAY_S),
            ),
        )
        ids.append((_actor(performer), task.id, status))
    jobs = [
        await platform.submissions.submit(
            (admin, *members)[number % 4],
            NewTask(
                handler=handler,
                payload=Raw(msgspec.json.encode(payload)),
                max_attempts=attempts,
                run_at=later(now, wait_s) if wait_s else msgspec.UNSET,
                labels=["nightly"] if wait_s else [],
            ),
        )
        for number, (handler, payload, attempts, wait_s) in enumerate(JOBS)
    ]
    for actor, task_id, status in ids:
        await _move(platform, actor, task_id, status)
    await platform.notifications.send(
        admin, DirectMessage(user_ids="all", message="Welcome! The heating is off on Sunday from nine to noon.")
    )
    return Demo([user.email for user in people], password, len(ids) + len(jobs))


async def _move(platform: Platform, actor: Actor, task_id: TaskId, status: Status) -> None:
    if status is Status.PENDING:
        return
    if status is Status.CANCELLED:
        await _eventually(lambda: platform.tasks.cancel(actor, task_id))
        return
    begun = TaskFields(status=Status.IN_PROGRESS)
    await _eventually(lambda: platform.tasks.change(actor, task_id, begun, replace=False))
    if status is not Status.IN_PROGRESS:
        await platform.tasks.change(actor, task_id, TaskFields(status=status), replace=False)


async def _eventually(call: Callable[[], Awaitable[T]]) -> T:
    """A call on a task that may not be stored yet."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await call()
            except (NotFound, Unavailable):
                await asyncio.sleep(0.1)


def _actor(user: User) -> Actor:
    return Actor(UserId(user.id), Role(user.role), "", NEVER)

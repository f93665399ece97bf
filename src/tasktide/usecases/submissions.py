"""Accepting new tasks: a submission is durable, and readable, before anybody is told so."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from tasktide.domain import access, events, fields
from tasktide.domain.access import Action
from tasktide.domain.errors import FieldError, Invalid, TasktideError, Unavailable
from tasktide.domain.fields import NewTask, TaskLimits
from tasktide.domain.ids import TaskId
from tasktide.domain.replies import Reserved
from tasktide.domain.tasks import Task
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Actor
from tasktide.ports.backpressure import Backpressure
from tasktide.ports.cache import Cache, Snapshot, of_task
from tasktide.ports.clock import Clock
from tasktide.ports.ids import Ids
from tasktide.ports.intake import Intake, Submission
from tasktide.ports.log import Log
from tasktide.ports.references import References
from tasktide.ports.tasks import TaskStore

# What the first try of a repeated submission has begun is over within this time, or the repetition is refused.
STORED_WITHIN_S = 5.0
# Tasks made before the event loop gets a turn: about 2 ms of work.
TURN = 200
IDS = "tasks"
# From a submission to who is told of it, and what happens to jobs: their three events each are on no other topic.
WAYS = [
    (topic, events.READERS[topic][0])
    for topic in (events.TASK_INGESTED, events.TASK_EVENTS, events.NOTIFICATION_EVENTS)
]


class Ready(NamedTuple):
    """The values of a draft that was checked."""

    values: dict[str, Any]


# Gets the task, or why it was not accepted after all.
Told = Callable[[Task | BaseException], None]


class Submissions:
    """Submitting is handing over to the intake, on the log or in the store; `pipelines` do the rest."""

    def __init__(
        self,
        *,
        store: TaskStore,
        references: References,
        log: Log,
        intake: Intake,
        cache: Cache,
        ids: Ids,
        clock: Clock,
        limits: TaskLimits,
        backlog_limit: int,
    ) -> None:
        self._store = store
        self._references = references
        self._intake = intake
        self._cache = cache
        self._ids = ids
        self._clock = clock
        self._limits = limits
        self._room = Backpressure(log, backlog_limit, *WAYS)
        self._withdrawing: set[asyncio.Task[None]] = set()
        self.accepted = 0

    async def reserve(self, count: int) -> int:
        """The first of `count` ids for a submission that may have to be repeated."""
        return (await self._ids.take(IDS, count))[0]

    async def submit(
        self, actor: Actor, draft: NewTask, *, traceparent: str | None = None, reserved: Reserved | None = None
    ) -> Task:
        """Accept a task: it is durable and readable when it returns. Otherwise as `submit_many`."""
        values = self._check_one(actor, draft)
        errors = await self._references.check([(None, values)])
        if errors:
            raise Invalid(errors)
        async with self._room.enter(1):
            [task] = await self._accept(actor, [values], traceparent, reserved)
            return task

    def at_hand(self, actor: Actor, draft: NewTask) -> Ready | None:
        """A draft that `begin` can take, since all that `submit` would wait for first is known already.

        None when it is not, or when something is wrong: `submit` says what.
        """
        if not (self._ids.has(IDS) and self._room.is_open()):
            return None
        try:
            values = self._check_one(actor, draft)
        except TasktideError:
            return None
        return Ready(values) if self._references.are_known(values) else None

    def begin(self, actor: Actor, ready: Ready, traceparent: str | None, told: Told) -> None:
        """As `submit`, begun now, in the same turn of the event loop as `at_hand`.

        `told` is called when it is durable and readable, or has failed. This saves what a task of the event loop costs
        each submission. Unavailable when the intake cannot take more.
        """
        task_id = TaskId(self._ids.take_now(IDS))
        task = self._make(actor, ready.values, task_id, self._clock.now())
        durable = self._intake.begin([Submission(task, events.user(actor.user_id), traceparent)])
        self._room.entered(1)
        kept = [of_task(task)]
        keeping = self._cache.begin_put(kept)

        def readable(put: "asyncio.Future[None]") -> None:
            told(_error_of(put) or task)

        def over(appended: "asyncio.Future[None]") -> None:
            self._room.left(1)
            error = _error_of(appended)
            if error is not None:
                self._withdraw(kept, keeping, lambda: told(error))
                return
            self.accepted += 1
            if keeping is None:
                told(task)
            else:
                keeping.add_done_callback(readable)

        durable.add_done_callback(over)

    async def submit_many(
        self,
        actor: Actor,
        drafts: Sequence[NewTask | None],
        faults: Sequence[FieldError] = (),
        *,
        traceparent: str | None = None,
        reserved: Reserved | None = None,
    ) -> list[Task]:
        """Accept tasks, all or none. None stands for a draft that could not be read, for the reasons in `faults`.

        Invalid lists the wrong fields of all of them, each with its index. Unavailable when the store is too
        far behind the log, or the intake cannot take more; while it is behind, submissions are held back a moment.
        """
        errors = list(faults)
        checked: list[tuple[int, dict[str, Any]]] = []
        for index, draft in enumerate(drafts):
            if index and index % TURN == 0:
                await asyncio.sleep(0)
            try:
                if draft is not None:
                    checked.append((index, self._check_one(actor, draft)))
            except Invalid as wrong:
                errors += [FieldError(f"[{index}].{error.field}", error.message) for error in wrong.errors]
        errors += await self._references.check(checked)
        if errors:
            raise Invalid.of_many(errors)
        async with self._room.enter(len(drafts)):
            return await self._accept(actor, [values for _, values in checked], traceparent, reserved)

    async def _accept(
        self, actor: Actor, checked: Sequence[dict[str, Any]], traceparent: str | None, reserved: Reserved | None
    ) -> list[Task]:
        known = await self._resumed(reserved, len(checked))
        if len(known) == len(checked):
            return known
        first = await self.reserve(len(checked)) if reserved is None else reserved.first_id
        now = self._clock.now()
        made: list[Task] = []
        for index, values in enumerate(checked):
            if index and index % TURN == 0:
                await asyncio.sleep(0)
            made.append(self._make(actor, values, TaskId(first + index), now))
        who = events.user(actor.user_id)
        kept = [] if reserved is not None and reserved.is_resumed else [of_task(task) for task in made]
        # The cache takes them in beside the intake. Nobody knows their ids before they are accepted.
        keeping = self._cache.begin_put(kept) if kept else None
        try:
            await self._intake.begin([Submission(task, who, traceparent) for task in made])
        except Exception:
            await self._forget(kept, keeping)
            raise
        self.accepted += 1
        if keeping is not None:
            await keeping
        return made

    def _make(self, actor: Actor, values: dict[str, Any], task_id: TaskId, now: Timestamp) -> Task:
        return fields.new(values, task_id, values.pop("creator_id", actor.user_id), now)

    def _withdraw(
        self, kept: Sequence[Snapshot], keeping: "asyncio.Future[None] | None", told: Callable[[], None]
    ) -> None:
        """Let the cache forget what was not accepted, and tell of it then."""
        withdrawing = asyncio.create_task(self._forget(kept, keeping), name="withdraw")
        self._withdrawing.add(withdrawing)
        withdrawing.add_done_callback(self._withdrawing.discard)
        withdrawing.add_done_callback(lambda _: told())

    async def _forget(self, kept: Sequence[Snapshot], keeping: "asyncio.Future[None] | None") -> None:
        if keeping is not None:
            await keeping
        await self._cache.drop([one.key for one in kept])

    async def _resumed(self, reserved: Reserved | None, count: int) -> list[Task]:
        """What the first try of a repeated submission has stored, once all that was begun is stored."""
        if reserved is None or not reserved.is_resumed:
            return []
        if not await self._intake.settled(STORED_WITHIN_S):
            # Made again under the same ids, at another time, it would have two first events.
            raise Unavailable("ingest", "What the first request has begun is not over yet; try again in a moment.")
        wanted = [TaskId(reserved.first_id + index) for index in range(count)]
        stored = await self._store.get(wanted)
        return [stored[task_id] for task_id in wanted if task_id in stored]

    def _check_one(self, actor: Actor, draft: NewTask) -> dict[str, Any]:
        values = fields.checked(draft, self._limits)
        if draft.creator_id is not UNSET and draft.creator_id not in {None, actor.user_id}:
            access.check(actor, Action.TASK_CREATE_FOR)
            values["creator_id"] = draft.creator_id
        return fields.completed(values)


def _error_of(ended: "asyncio.Future[None]") -> BaseException | None:
    return asyncio.CancelledError() if ended.cancelled() else ended.exception()

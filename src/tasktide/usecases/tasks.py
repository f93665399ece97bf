"""What one may do with tasks."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from tasktide.domain import access, events, fields, paging, tasks
from tasktide.domain.access import Action
from tasktide.domain.errors import Conflict, FieldError, Invalid, NotFound, Stale, Unavailable
from tasktide.domain.fields import NewTask, TaskFields, TaskLimits
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.paging import Cursor, Page, TaskFilter, TaskQuery
from tasktide.domain.replies import Reserved
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Actor
from tasktide.ports.cache import Cache, of_no_task, of_task, task_key
from tasktide.ports.clock import Clock
from tasktide.ports.ids import Ids
from tasktide.ports.log import Backpressure, Log, Record
from tasktide.ports.push import Message, Push
from tasktide.ports.tasks import Change, TaskStore
from tasktide.ports.users import UserStore

INGEST = "ingest"
# A task that was accepted is stored within milliseconds; a change of it waits at most this long.
STORED_WITHIN_S = 5.0
# A list waits this long for what was accepted before it was asked for.
LISTED_WITHIN_S = 2.0
# How often a change is decided anew when somebody else's got in between, each time after a longer pause.
ATTEMPTS, PAUSE_S = 30, 0.002
# Tasks made before the event loop gets a turn: about 2 ms of work.
TURN = 200
MOST_ERRORS = 100
CANCELLED_JOBS = "jobs:cancelled"

_decode = msgspec.json.Decoder(Task).decode


class TaskResult(Struct, frozen=True):
    """What a finished job came to."""

    task_id: TaskId
    result: Raw
    processed_at: Timestamp


class Tasks:
    """Submitting is appending to the log; everything later goes to the store first, its event with it."""

    def __init__(
        self,
        *,
        store: TaskStore,
        users: UserStore,
        log: Log,
        cache: Cache,
        push: Push,
        ids: Ids,
        clock: Clock,
        limits: TaskLimits,
        handlers: frozenset[str],
        backlog_limit: int,
        stopping: str,
    ) -> None:
        self._store = store
        self._users = users
        self._log = log
        self._cache = cache
        self._push = push
        self._ids = ids
        self._clock = clock
        self._limits = limits
        self._handlers = handlers
        self._room = Backpressure(log, events.TASK_INGESTED, INGEST, backlog_limit)
        self._stopping = stopping
        self._known_users: set[int] = set()
        # Submissions accepted here, and how many of them are known to be stored.
        self._accepted = 0
        self._stored_of_accepted = 0

    async def reserve(self, count: int) -> int:
        """The first of `count` ids for a submission that may have to be repeated."""
        return (await self._ids.take("tasks", count))[0]

    async def submit(
        self, actor: Actor, draft: NewTask, *, traceparent: str | None = None, reserved: Reserved | None = None
    ) -> Task:
        """Accept a task: it is durable and readable when it returns. Otherwise as `submit_many`."""
        async with self._room.enter(1):
            values = self._check_one(actor, draft)
            errors = await self._check_references([(None, values)])
            if errors:
                raise Invalid(errors)
            [task] = await self._accept(actor, [values], traceparent, reserved)
            return task

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
        far behind the log, or the log cannot take more; while it is behind, submissions are held back a moment.
        """
        async with self._room.enter(len(drafts)):
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
            errors += await self._check_references(checked)
            if errors:
                errors.sort(key=lambda error: int(error.field[1 : error.field.index("]")]))
                raise Invalid(errors[:MOST_ERRORS])
            return await self._accept(actor, [values for _, values in checked], traceparent, reserved)

    async def get(self, task_id: TaskId) -> Task:
        """The task as it is now; NotFound when there is none or it was deleted."""
        key = task_key(task_id)
        body = (await self._cache.get([key])).get(key)
        if body is not None:
            if not body:
                raise _not_found(task_id)
            return _decode(body)
        task = await self._stored(task_id)
        await self._remember([task])
        return task

    async def get_many(self, task_ids: Collection[TaskId]) -> dict[TaskId, Task]:
        """Those of the tasks that there are, asked for at once."""
        bodies = await self._cache.get([task_key(task_id) for task_id in task_ids])
        found = {task_id: _decode(body) for task_id in task_ids if (body := bodies.get(task_key(task_id)))}
        missing = [task_id for task_id in task_ids if task_key(task_id) not in bodies]
        return found | (await self._store.get(missing) if missing else {})

    async def count(self, wanted: TaskFilter) -> int:
        """How many stored tasks match."""
        return await self._store.count(wanted)

    async def find(self, query: TaskQuery) -> Page[Task]:
        """A page of tasks, what was accepted here just before included."""
        accepted = self._accepted
        if accepted > self._stored_of_accepted and await self._log.settled(
            events.TASK_INGESTED, INGEST, LISTED_WITHIN_S
        ):
            self._stored_of_accepted = max(self._stored_of_accepted, accepted)
        found = list(await self._store.find(msgspec.structs.replace(query, limit=query.limit + 1)))
        items = found[: query.limit]
        if len(found) <= query.limit:
            return Page(items)
        return Page(items, query.cursor_of(items[-1]))

    async def change(
        self,
        actor: Actor,
        task_id: TaskId,
        sent: TaskFields,
        *,
        replace: bool,
        versions: Collection[int] | None = None,
        traceparent: str | None = None,
    ) -> Task:
        """Edit a task: all fields (`replace`) or those sent. Stale when its version is not one of `versions`."""
        values = fields.checked(sent, self._limits)
        errors = await self._check_references([(None, values)])
        if errors:
            raise Invalid(errors)

        def decide(task: Task, now: Timestamp) -> Task:
            whole = fields.replaced(values, task) if replace else values
            return tasks.edit(task, fields.implied(whole, task), now)

        return await self._apply(actor, task_id, decide, versions, traceparent)

    async def cancel(self, actor: Actor, task_id: TaskId, *, traceparent: str | None = None) -> Task:
        """Give a task up; a running handler is told to stop. Conflict when it has finished."""
        after = await self._apply(actor, task_id, tasks.cancel, None, traceparent)
        if after.is_job:
            await self._push.publish([Message(CANCELLED_JOBS, str(task_id).encode())])
        return after

    async def retry(self, actor: Actor, task_id: TaskId, *, traceparent: str | None = None) -> Task:
        """Begin anew with a failed or cancelled task; Conflict otherwise."""
        return await self._apply(actor, task_id, tasks.retry, None, traceparent)

    async def delete(
        self,
        actor: Actor,
        task_id: TaskId,
        *,
        versions: Collection[int] | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Remove a task for good."""
        for attempt in range(ATTEMPTS):
            task = await self._stored(task_id)
            access.check(actor, Action.TASK_DELETE, task)
            _check_version(task, versions)
            event = events.deleted(task, events.user(actor.user_id), self._clock.now(), traceparent)
            change = Change(task_id=task_id, expected_version=task.version, after=None, event=event)
            if await self._store.commit([change]):
                await self._cache.put([of_no_task(task_id, event.data.task.version)])
                await self._push.publish([Message(CANCELLED_JOBS, str(task_id).encode()), _finished(task_id)])
                return
            await asyncio.sleep(attempt * PAUSE_S)
        raise _contended()

    async def history(self, task_id: TaskId, cursor: str | None, limit: int) -> Page[Raw]:
        """A task's events, oldest first."""
        order = f"history.{task_id}"
        after = paging.decode(cursor, order)
        await self._stored(task_id)
        found = await self._store.history(
            task_id, after.value if after and isinstance(after.value, int) else 0, limit + 1
        )
        items = [Raw(event) for event in found[:limit]]
        if len(found) <= limit:
            return Page(items)
        last = msgspec.json.decode(found[limit - 1])["data"]["version"]
        return Page(items, paging.encode(Cursor(order, last, task_id)))

    async def result(self, task_id: TaskId, wait_s: float) -> TaskResult | None:
        """What the task came to, waiting up to `wait_s` seconds; None while it is open, Conflict if it failed.

        When the process is about to stop it does not wait on.
        """
        listener = await self._push.subscribe([_finished(task_id).channel, self._stopping])
        try:
            task = await self.get(task_id)
            async with asyncio.timeout(wait_s):
                while task.status.is_open:
                    heard = await listener.read()
                    if heard and any(message.channel == self._stopping for message in heard):
                        return None
                    task = await self.get(task_id)
        except TimeoutError:
            return None
        finally:
            listener.close()
        if task.status is not Status.DONE:
            raise Conflict(
                f"The task is {task.status}: {task.error or 'it has no result'}.", code=f"task_{task.status}"
            )
        return TaskResult(task.id, task.result, task.finished_at or task.updated_at)

    async def _apply(
        self,
        actor: Actor,
        task_id: TaskId,
        decide: Callable[[Task, Timestamp], Task],
        versions: Collection[int] | None,
        traceparent: str | None,
    ) -> Task:
        for attempt in range(ATTEMPTS):
            now = self._clock.now()
            task = await self._stored(task_id)
            access.check(actor, Action.TASK_CHANGE, task)
            _check_version(task, versions)
            after = decide(task, now)
            event = events.changed(task, after, events.user(actor.user_id), traceparent)
            if not event.data.changes:
                return task
            wake, remind = tasks.alarms(task, after, now)
            change = Change(
                task_id=task_id,
                expected_version=task.version,
                after=after,
                event=event,
                wake_at=wake,
                remind_at=remind,
            )
            if await self._store.commit([change]):
                await self._remember([after])
                await self._push.publish([_finished(task_id)])
                return after
            await asyncio.sleep(attempt * PAUSE_S)
        raise _contended()

    async def _stored(self, task_id: TaskId) -> Task:
        """The task from the store, waiting for it when it may still be on its way there."""
        task = (await self._store.get([task_id])).get(task_id)
        if task is None and await self._log.backlog(events.TASK_INGESTED, INGEST):
            is_settled = await self._log.settled(events.TASK_INGESTED, INGEST, STORED_WITHIN_S)
            task = (await self._store.get([task_id])).get(task_id)
            if task is None and not is_settled:
                raise Unavailable("ingest", "What was accepted is not all stored yet; try again in a moment.")
        if task is None:
            raise _not_found(task_id)
        return task

    async def _remember(self, some: Sequence[Task]) -> None:
        await self._cache.put([of_task(task) for task in some])

    async def _accept(
        self, actor: Actor, checked: Sequence[dict[str, Any]], traceparent: str | None, reserved: Reserved | None
    ) -> list[Task]:
        known = await self._resumed(reserved, len(checked))
        if len(known) == len(checked):
            return known
        first = await self.reserve(len(checked)) if reserved is None else reserved.first_id
        now = self._clock.now()
        who = events.user(actor.user_id)
        made: list[Task] = []
        records: list[Record] = []
        for index, values in enumerate(checked):
            if index and index % TURN == 0:
                await asyncio.sleep(0)
            creator_id = values.pop("creator_id", actor.user_id)
            task = fields.new(values, TaskId(first + index), creator_id, now)
            event = events.ingested(task, who, traceparent)
            made.append(task)
            records.append(Record.of(events.TASK_INGESTED, str(task.performer_id or task.id), event))
        kept = [] if reserved is not None and reserved.is_resumed else [of_task(task) for task in made]
        # The cache takes them in beside the log. Nobody knows their ids before the log has them.
        keeping = self._cache.begin_put(kept) if kept else None
        try:
            await self._log.append(records)
        except Exception:
            if keeping is not None:
                await keeping
            await self._cache.drop([one.key for one in kept])
            raise
        self._accepted += 1
        if keeping is not None:
            await keeping
        return made

    async def _resumed(self, reserved: Reserved | None, count: int) -> list[Task]:
        """What the first try of a repeated submission has stored, once its part of the log is stored."""
        if reserved is None or not reserved.is_resumed:
            return []
        await self._log.settled(events.TASK_INGESTED, INGEST, STORED_WITHIN_S)
        wanted = [TaskId(reserved.first_id + index) for index in range(count)]
        stored = await self._store.get(wanted)
        return [stored[task_id] for task_id in wanted if task_id in stored]

    def _check_one(self, actor: Actor, draft: NewTask) -> dict[str, Any]:
        values = fields.checked(draft, self._limits)
        if draft.creator_id is not UNSET and draft.creator_id not in {None, actor.user_id}:
            access.check(actor, Action.TASK_CREATE_FOR)
            values["creator_id"] = draft.creator_id
        return fields.completed(values)

    async def _check_references(self, some: Iterable[tuple[int | None, dict[str, Any]]]) -> list[FieldError]:
        """Every reference to a user or handler that does not exist; with an index, of that item of a batch."""
        doubtful: list[tuple[str, UserId]] = []
        errors: list[FieldError] = []
        for index, values in some:
            for field, user_id in fields.users_named(values):
                if user_id not in self._known_users:
                    doubtful.append((_path(index, field), user_id))
            handler = values.get("handler")
            if handler is not None and handler not in self._handlers:
                errors.append(FieldError(_path(index, "handler"), f"there is none of this name: {handler}"))
        if doubtful:
            self._known_users |= (await self._users.get({user_id for _, user_id in doubtful})).keys()
        errors += [
            FieldError(field, f"there is no user {user_id}")
            for field, user_id in doubtful
            if user_id not in self._known_users
        ]
        return errors


def _path(index: int | None, field: str) -> str:
    return field if index is None else f"[{index}].{field}"


def _check_version(task: Task, versions: Collection[int] | None) -> None:
    if versions is not None and task.version not in versions:
        raise Stale(f"The task is at version {task.version} by now.")


def _finished(task_id: TaskId) -> Message:
    return Message(task_key(task_id), b"")


def _not_found(task_id: TaskId) -> NotFound:
    return NotFound(f"There is no task {task_id}.")


def _contended() -> Conflict:
    return Conflict("The task keeps changing under this request; try again.", code="contended")

"""What one may do with tasks."""

import asyncio
from collections.abc import Callable, Collection, Sequence

import msgspec
from msgspec import Raw, Struct

from tasktide.domain import access, events, fields, paging, tasks
from tasktide.domain.access import Action
from tasktide.domain.errors import Conflict, Invalid, NotFound, Stale, Unavailable, invalid
from tasktide.domain.fields import TaskFields, TaskLimits
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.paging import Cursor, Page, TaskFilter, TaskQuery
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import Timestamp
from tasktide.domain.users import Actor
from tasktide.ports.cache import Cache, of_no_task, of_task, task_key
from tasktide.ports.clock import Clock
from tasktide.ports.log import Log
from tasktide.ports.push import Message, Push
from tasktide.ports.references import References
from tasktide.ports.stopping import Stopping
from tasktide.ports.tasks import Change, TaskStore
from tasktide.ports.turns import Turns

# A task that was accepted is stored within milliseconds; a change of it waits at most this long.
STORED_WITHIN_S = 5.0
# A list waits this long for what was accepted before it was asked for.
LISTED_WITHIN_S = 2.0
# How often a change is decided anew when somebody else's got in between, each time after a longer pause.
ATTEMPTS, PAUSE_S = 30, 0.002
MOST_WAIT_S = 30.0
CANCELLED_JOBS = "jobs:cancelled"
# Searches of one user at once, so that nobody's keep all others waiting; how many more may wait, and how long.
SEARCHES, SEARCHES_WAITING, SEARCH_PATIENCE_S = 4, 200, 10.0

_decode = msgspec.json.Decoder(Task).decode


class TaskResult(Struct, frozen=True):
    """What a finished job came to."""

    task_id: TaskId
    result: Raw
    processed_at: Timestamp


class Tasks:
    """Changes go to the store first, their event with them; what was accepted just before is waited for."""

    def __init__(
        self,
        *,
        store: TaskStore,
        references: References,
        log: Log,
        cache: Cache,
        push: Push,
        clock: Clock,
        limits: TaskLimits,
        accepted: Callable[[], int],
        stopping: Stopping,
    ) -> None:
        self._store = store
        self._references = references
        self._log = log
        self._cache = cache
        self._push = push
        self._clock = clock
        self._limits = limits
        self._stopping = stopping
        # Submissions accepted in this process, and how many of them are known to be stored.
        self._accepted = accepted
        self._stored_of_accepted = 0
        self._searches: Turns[UserId] = Turns(SEARCHES, SEARCHES_WAITING, SEARCH_PATIENCE_S)

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

    async def count(self, actor: Actor, wanted: TaskFilter) -> int:
        """How many stored tasks match."""
        async with self._searches.of(actor.user_id):
            return await self._store.count(wanted)

    async def find(self, actor: Actor, query: TaskQuery) -> Page[Task]:
        """A page of tasks, what was accepted here just before included."""
        accepted = self._accepted()
        if accepted > self._stored_of_accepted and await self._log.settled(
            events.TASK_INGESTED, events.INGEST, LISTED_WITHIN_S
        ):
            self._stored_of_accepted = max(self._stored_of_accepted, accepted)
        async with self._searches.of(actor.user_id):
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
        errors = await self._references.check([(None, values)])
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
        if not 0 <= wait_s <= MOST_WAIT_S:
            raise invalid("wait", f"must be 0 to {MOST_WAIT_S:g} seconds")
        listener = await self._push.subscribe([_finished(task_id).channel, self._stopping.channel])
        try:
            task = await self.get(task_id)
            async with asyncio.timeout(wait_s):
                while task.status.is_open:
                    if self._stopping.is_announced:
                        return None
                    await listener.read()
                    task = await self.get(task_id)
        except TimeoutError:
            return None
        finally:
            listener.close()
        if task.status is not Status.DONE:
            raise Conflict(
                f"The task is {task.status}: {(task.error or 'it has no result').rstrip('.')}.",
                code=f"task_{task.status}",
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
        if task is None:
            # Not by what was known a moment ago of how far ingest is: another gateway may have accepted it since.
            is_settled = await self._log.settled(events.TASK_INGESTED, events.INGEST, STORED_WITHIN_S)
            task = (await self._store.get([task_id])).get(task_id)
            if task is None and not is_settled:
                raise Unavailable("ingest", "What was accepted is not all stored yet; try again in a moment.")
        if task is None:
            raise _not_found(task_id)
        return task

    async def _remember(self, some: Sequence[Task]) -> None:
        await self._cache.put([of_task(task) for task in some])


def _check_version(task: Task, versions: Collection[int] | None) -> None:
    if versions is not None and task.version not in versions:
        raise Stale(f"The task is at version {task.version} by now.")


def _finished(task_id: TaskId) -> Message:
    return Message(task_key(task_id), b"")


def _not_found(task_id: TaskId) -> NotFound:
    return NotFound(f"There is no task {task_id}.")


def _contended() -> Conflict:
    return Conflict("The task keeps changing under this request; try again.", code="contended")

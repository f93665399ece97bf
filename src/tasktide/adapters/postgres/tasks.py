"""The task store on PostgreSQL: each task on the shard of its performer, a batch one statement a shard."""

import asyncio
import heapq
import re
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec import UNSET

from tasktide import resources
from tasktide.adapters.postgres.database import Database
from tasktide.adapters.postgres.moves import Moves
from tasktide.adapters.postgres.outbox import packed
from tasktide.adapters.postgres.shards import Shards
from tasktide.domain.ids import TaskId
from tasktide.domain.paging import TaskFilter, TaskQuery
from tasktide.domain.tasks import Status, Task, due_key
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.tasks import Change, Entry, Totals, history_item, ran_ms, told

SQL = resources.statements(__package__, "tasks")

_json = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Task).decode
# What has a table of links of its own, by its field, in the order of the statements' columns.
_LINKS = ("observer_ids", "labels")
_COLUMNS = {"created_at": "created_at", "updated_at": "updated_at", "priority": "priority", "due_at": "due_key"}
_ARRIVING = 2
_PARAMETER = re.compile(r"(?<!:):(\w+)")
# Titles end and descriptions begin here, so that no search matches across.
_BETWEEN = "\x1f"


class PostgresTasks:
    """`ports.tasks.TaskStore` over all shards. What is to be said goes through the outbox of the task's shard."""

    def __init__(self, shards: Shards, clock: Clock, moves: Moves) -> None:
        self._shards = shards
        self._clock = clock
        self._moves = moves
        # Of a batch that could not be inserted on every shard: what was, by shard.
        self._inserted: dict[int, tuple[TaskId, ...]] = {}

    async def insert(self, entries: Sequence[Entry]) -> None:
        """See the port."""
        groups = self._shards.grouped(entries, lambda entry: home(entry.task))
        results = await asyncio.gather(
            *(self._insert(shard, some) for shard, some in groups.items()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._inserted.clear()

    async def _insert(self, shard: int, entries: Sequence[Entry]) -> None:
        # While another shard is away the batch is repeated: what this one has is not said again each time.
        ids = tuple(entry.task.id for entry in entries)
        if self._inserted.get(shard) != ids:
            database = self._shards.databases[shard]
            [(_, stored)] = await database.write(SQL["insert"], *insertion(entries))
            if stored < len(entries):  # a batch that is repeated
                await database.execute(SQL["rebury"], list(ids))
            self._inserted[shard] = ids

    async def commit(self, changes: Sequence[Change]) -> frozenset[TaskId]:
        """See the port. One transaction a shard: what one shard applied stays when another one is away."""
        first: dict[TaskId, Change] = {}
        for change in changes:
            first.setdefault(change.task_id, change)  # of two changes of one version, one can hold
        if not first:
            return frozenset()
        databases = self._shards.databases
        likely = self._shards.grouped(first.values(), _likely_home)
        parts = await asyncio.gather(*(self._commit(databases[shard], some) for shard, some in likely.items()))
        applied = frozenset(chain.from_iterable(parts))
        # Those that are on their way to another shard, or have been overtaken by another change: look everywhere.
        missed = [change for task_id, change in first.items() if task_id not in applied]
        if not missed or len(databases) == 1:
            return applied
        found = await self._shards.all(lambda database: self._commit(database, missed))
        return applied | frozenset(chain.from_iterable(found))

    async def get(self, task_ids: Collection[TaskId]) -> dict[TaskId, Task]:
        """See the port."""
        if not task_ids:
            return {}
        found = await self._look_for(list(task_ids))
        missing = [task_id for task_id in task_ids if task_id not in found]
        if missing and len(self._shards.databases) > 1:
            # One that moved between our questions was not there yet in one place, and gone from the other.
            found |= await self._look_for(missing)
        return found

    async def _look_for(self, wanted: list[TaskId]) -> dict[TaskId, Task]:
        parts = await self._shards.all(lambda database: database.fetch(SQL["get"], wanted))
        return {task.id: task for task in _settled(chain.from_iterable(parts))}

    async def find(self, query: TaskQuery) -> Sequence[Task]:
        """See the port. Every shard gives its page; together they hold the first page of all."""
        where, parameters = _where(query.filter)
        direction = "descending" if query.descending else "ascending"
        column = _COLUMNS[query.sort]
        if query.after is not None:
            where.append(SQL[f"after_{direction}"].format(column=column))
            parameters |= {"after_value": query.after.value, "after_id": query.after.id}
        way = "DESC" if query.descending else "ASC"
        order = f"t.{column} {way}, t.id {way}"
        text = SQL["find"].format(where=" AND ".join(where) or "TRUE", order=order)
        sql, arguments = _numbered(text, parameters | {"limit": query.limit})
        parts = await self._shards.look(lambda database: database.fetch(sql, *arguments))
        tasks = _settled(chain.from_iterable(parts))
        chosen = heapq.nlargest if query.descending else heapq.nsmallest
        return chosen(query.limit, tasks, key=lambda task: (_sort_value(task, query.sort), task.id))

    async def history(self, task_id: TaskId, after_version: int, limit: int) -> Sequence[bytes]:
        """See the port."""
        parts = await self._shards.all(lambda db: db.fetch(SQL["history"], task_id, after_version, limit))
        # While a task moves, its history stands on two shards.
        rows = {version: event for part in parts for version, event in part}
        return [rows[version].encode() for version in sorted(rows)][:limit]

    async def alarms(self, now: Timestamp, limit: int) -> Sequence[tuple[Task, bool, bool]]:
        """See the port."""
        parts = await self._shards.all(lambda database: database.fetch(SQL["alarms"], now, limit))
        due = heapq.nsmallest(limit, chain.from_iterable(parts), key=lambda row: row[3])
        return [(_decode(doc), wake, remind) for doc, wake, remind, _ in due]

    async def purge(self, before: Timestamp) -> int:
        """See the port."""
        return sum(await self._shards.all(lambda database: database.execute(SQL["purge"], before)))

    async def count(self, where: TaskFilter) -> int:
        """See the port."""
        conditions, parameters = _where(where)
        sql, arguments = _numbered(SQL["count"].format(where=" AND ".join(conditions) or "TRUE"), parameters)
        return sum(int(n) for n in await self._shards.look(lambda database: database.value(sql, *arguments)))

    async def totals(self) -> Totals:
        """See the port."""
        parts = await self._shards.all(lambda database: database.fetch(SQL["totals"]))
        return Totals(sum(part[0][0] for part in parts), sum(part[0][1] for part in parts))

    async def _commit(self, database: Database, changes: Sequence[Change]) -> list[TaskId]:
        """Apply those of the changes whose task is on this shard at the expected version."""
        applied: list[TaskId] = []
        here = self._shards.databases.index(database)
        states = [(change, change.after) for change in changes if change.after is not None]
        if states:
            leaving = {task.id for _, task in states if self._shards.holding(home(task)) != here}
            rows = await database.write(SQL["commit"], *_commitment(states, leaving))
            applied += [TaskId(row[0]) for row in rows]
            for task_id in leaving.intersection(applied):
                self._moves.begin(here, task_id)
        gone = [change for change in changes if change.after is None]
        if gone:
            columns = _columns([(change.task_id, change.expected_version, *_said(change)) for change in gone], 4)
            rows = await database.write(SQL["delete"], *columns, self._clock.now())
            applied += [TaskId(row[0]) for row in rows]
        return applied


def home(task: Task) -> int:
    """What decides on which shard a task is: its performer, who wants to find it beside their others."""
    return task.performer_id or task.id


def _likely_home(change: Change) -> int:
    """What decided on which shard the task is, as it was before the change."""
    event = change.event
    after = event.data.task if change.after is None and event is not None else change.after
    if after is None:
        return change.task_id
    before = event.data.changes.get("performer_id") if event is not None else None
    return (after.performer_id if before is None else before[0]) or after.id


def insertion(entries: Sequence[Entry]) -> list[Any]:
    """The arguments of the statement that inserts tasks, a column of rows each."""
    rows = [
        (
            task.id, task.version, str(task.status), task.priority, task.creator_id, task.performer_id, task.handler,
            due_key(task), task.created_at, task.updated_at, entry.wake_at, entry.remind_at, _json(task).decode(),
            _words(task), history_item(entry.event).decode(),
        )
        for entry in entries
        for task in (entry.task,)
    ]  # fmt: skip
    links = [
        column
        for field in _LINKS
        for column in _columns([(value, entry.task.id) for entry in entries for value in getattr(entry.task, field)], 2)
    ]
    records = [record for entry in entries for record in (*told(entry.event), *entry.records)]
    return [*_columns(rows, 15), *links, len(records), packed(records)]


def _commitment(states: Sequence[tuple[Change, Task]], leaving: Collection[TaskId]) -> list[Sequence[Any]]:
    rows = [
        (
            task.id, change.expected_version, task.version, str(task.status), task.priority, task.performer_id,
            task.handler, due_key(task), task.updated_at,
            change.wake_at is UNSET, None if change.wake_at is UNSET else change.wake_at,
            change.remind_at is UNSET, None if change.remind_at is UNSET else change.remind_at,
            _json(task).decode(), _words(task),
            None if change.event is None else history_item(change.event).decode(), task.id in leaving, ran_ms(change),
            *_said(change),
        )
        for change, task in states
    ]  # fmt: skip
    links = [column for field in _LINKS for column in _relinked(states, field)]
    return [*_columns(rows, 20), *links]


def _relinked(states: Sequence[tuple[Change, Task]], field: str) -> list[Sequence[Any]]:
    """The links that go and those that come, a column each."""
    gone: list[tuple[Any, TaskId]] = []
    come: list[tuple[Any, TaskId]] = []
    for change, task in states:
        if change.event is not None and field in change.event.data.changes:
            before, after = change.event.data.changes[field]
            gone += [(value, task.id) for value in set(before) - set(after)]
            come += [(value, task.id) for value in set(after) - set(before)]
    return [*_columns(gone, 2), *_columns(come, 2)]


def _said(change: Change) -> tuple[int, bytes]:
    """How many records a change brings, and these."""
    records = (*(told(change.event) if change.event is not None else ()), *change.records)
    return len(records), packed(records)


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _words(task: Task) -> str:
    return f"{task.title}{_BETWEEN}{task.description}"


def _settled(rows: Any) -> list[Task]:
    """The tasks of rows, each once: of one that is on its way between two shards, the one it leaves."""
    found: dict[int, tuple[int, str]] = {}
    for task_id, moving, doc in rows:
        known = found.get(task_id)
        if known is None or known[0] == _ARRIVING:
            found[task_id] = moving, doc
    return [_decode(doc) for _, doc in found.values()]


def _sort_value(task: Task, sort: str) -> Any:
    return due_key(task) if sort == "due_at" else getattr(task, sort)


def _where(wanted: TaskFilter) -> tuple[list[str], dict[str, Any]]:
    parameters: dict[str, Any] = {
        name: value for name in TaskFilter.__struct_fields__ if (value := getattr(wanted, name)) not in (None, ())
    }
    if "statuses" in parameters:
        parameters["statuses"] = [str(Status(status)) for status in wanted.statuses]
    if wanted.q is not None:
        escaped = wanted.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\x00", "")
        parameters["q"] = f"%{escaped}%"
    return [SQL[f"where_{name}"] for name in parameters], parameters


def _numbered(sql: str, parameters: dict[str, Any]) -> tuple[str, list[Any]]:
    """A statement with `:name` parameters as PostgreSQL wants it, and its arguments in order."""
    names = list(dict.fromkeys(_PARAMETER.findall(sql)))
    numbered = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", sql)
    return numbered, [parameters[name] for name in names]

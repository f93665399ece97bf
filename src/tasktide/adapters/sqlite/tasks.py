"""The task store on SQLite: a batch is a handful of statements, whatever its size."""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from tasktide import resources
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.domain.events import TaskEvent
from tasktide.domain.ids import TaskId
from tasktide.domain.paging import TaskFilter, TaskQuery
from tasktide.domain.tasks import Status, Task, due_key
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.log import Record
from tasktide.ports.tasks import Change, Entry, Totals, history_item, ran_ms, told

SQL = resources.statements(__package__, "tasks")

_json = msgspec.json.Encoder().encode
_decode_tasks = msgspec.json.Decoder(list[Task]).decode
_decode_ids = msgspec.json.Decoder(list[TaskId]).decode
_decode_raws = msgspec.json.Decoder(list[Raw]).decode
_decode_alarms = msgspec.json.Decoder(list[tuple[Task, bool, bool]], strict=False).decode
# What has a table of links of its own, by its field.
_LINKS = {"observers": "observer_ids", "labels": "labels"}
_COLUMNS = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "priority": "priority",
    "due_at": "due_key",
}


class SqliteTasks:
    """`ports.tasks.TaskStore` beside the embedded log, in the same transactions."""

    def __init__(self, database: Database, log: SqliteLog, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock

    async def insert(self, entries: Sequence[Entry]) -> None:
        """See the port."""
        tasks = [_inserted(entry) for entry in entries]
        links = {noun: _links([entry.task for entry in entries], field) for noun, field in _LINKS.items()}
        history = [_history_row(entry.event) for entry in entries]
        records = [record for entry in entries for record in (*told(entry.event), *entry.records)]

        def work(transaction: Transaction) -> None:
            transaction.rows(SQL["insert"], tasks)
            for noun, rows in links.items():
                transaction.rows(SQL[f"insert_{noun}"], rows)
            transaction.rows(SQL["insert_history"], history)
            self._log.write(transaction, records)

        await self._database.run(work)

    async def commit(self, changes: Sequence[Change]) -> frozenset[TaskId]:
        """See the port."""
        first: dict[TaskId, Change] = {}
        for change in changes:
            first.setdefault(change.task_id, change)  # of two changes of one version, one can hold
        versions = [(change.task_id, change.expected_version) for change in first.values()]
        # Encoded here: the writer's thread would have to take turns with the event loop for it.
        whole = _rows(list(first.values()))

        def work(transaction: Transaction) -> frozenset[TaskId]:
            found = [_decode_ids(cursor.fetchone()[0]) for cursor in transaction.rows(SQL["current"], versions)]
            current = frozenset(chain.from_iterable(found))
            is_whole = len(current) == len(first)
            self._apply(
                transaction, whole if is_whole else _rows([one for task_id, one in first.items() if task_id in current])
            )
            return current

        return await self._database.run(work)

    async def get(self, task_ids: Collection[TaskId]) -> dict[TaskId, Task]:
        """See the port."""
        if not task_ids:
            return {}
        ids = _text(list(task_ids))
        found = await self._database.read(lambda tx: tx.value(SQL["get"], (ids,)))
        return {task.id: task for task in _decode_tasks(found)}

    async def find(self, query: TaskQuery) -> Sequence[Task]:
        """See the port."""
        where, parameters = _where(query.filter)
        direction = "descending" if query.descending else "ascending"
        column = _COLUMNS[query.sort]
        if query.after is not None:
            where.append(SQL[f"after_{direction}"].format(column=column))
            parameters |= {"after_value": query.after.value, "after_id": query.after.id}
        way = "DESC" if query.descending else "ASC"
        order = f"t.{column} {way}, t.id {way}"
        sql = SQL["find"].format(where=" AND ".join(where) or "TRUE", order=order)
        parameters["limit"] = query.limit
        return _decode_tasks(await self._database.search(lambda tx: tx.value(sql, parameters)))

    async def history(self, task_id: TaskId, after_version: int, limit: int) -> Sequence[bytes]:
        """See the port."""
        found = await self._database.read(lambda tx: tx.value(SQL["history"], (task_id, after_version, limit)))
        return [bytes(event) for event in _decode_raws(found)]

    async def alarms(self, now: Timestamp, limit: int) -> Sequence[tuple[Task, bool, bool]]:
        """See the port."""
        return _decode_alarms(await self._database.read(lambda tx: tx.value(SQL["alarms"], (now, limit))))

    async def purge(self, before: Timestamp) -> int:
        """See the port."""
        return await self._database.run(lambda tx: tx.execute(SQL["purge"], (before,)).rowcount)

    async def count(self, where: TaskFilter) -> int:
        """See the port."""
        conditions, parameters = _where(where)
        sql = SQL["count"].format(where=" AND ".join(conditions) or "TRUE")
        return int(await self._database.search(lambda tx: tx.value(sql, parameters)))

    async def totals(self) -> Totals:
        """See the port."""
        found = await self._database.read(lambda tx: tx.value(SQL["totals"]))
        return Totals(**msgspec.json.decode(found))

    def _apply(self, transaction: Transaction, rows: "_Rows") -> None:
        transaction.rows(SQL["update"], rows.states)
        for noun, (moved, links) in rows.links.items():
            transaction.execute(SQL[f"unlink_{noun}"], (moved,))
            transaction.rows(SQL[f"insert_{noun}"], links)
        if rows.gone:
            for statement in ("delete", "unlink_observers", "unlink_labels", "delete_history"):
                transaction.execute(SQL[statement], (rows.gone,))
            transaction.execute(SQL["bury"], (rows.gone, self._clock.now()))
        transaction.rows(SQL["insert_history"], rows.history)
        if rows.totals is not None:
            transaction.execute(SQL["add_totals"], rows.totals)
        self._log.write(transaction, rows.records)


class _Rows(NamedTuple):
    """What changes come to: rows of the tables, and ids as JSON arrays."""

    states: list[tuple[Any, ...]]
    links: dict[str, tuple[str, list[tuple[Any, TaskId, int]]]]
    gone: str | None
    history: list[tuple[TaskId, int, str]]
    totals: tuple[int, int] | None
    records: list[Record]


def _rows(changes: Sequence[Change]) -> _Rows:
    states = [(change, change.after) for change in changes if change.after is not None]
    links = {}
    for noun, field in _LINKS.items():
        moved = [task for change, task in states if change.event and field in change.event.data.changes]
        if moved:
            links[noun] = _text([task.id for task in moved]), _links(moved, field)
    gone = [change.task_id for change in changes if change.after is None]
    return _Rows(
        states=[_updated(change, task) for change, task in states],
        links=links,
        gone=_text(gone) if gone else None,
        history=[_history_row(change.event) for change, _ in states if change.event is not None],
        totals=_totals(change for change, _ in states),
        records=[
            record
            for change in changes
            for record in (*(told(change.event) if change.event is not None else ()), *change.records)
        ],
    )


def _totals(changes: Iterable[Change]) -> tuple[int, int] | None:
    ran = [one for change in changes if (one := ran_ms(change)) is not None]
    return (len(ran), sum(ran)) if ran else None


def _inserted(entry: Entry) -> tuple[Any, ...]:
    task = entry.task
    return (
        task.id,
        task.version,
        str(task.status),
        task.priority,
        task.creator_id,
        task.performer_id,
        task.handler,
        due_key(task),
        task.created_at,
        task.updated_at,
        entry.wake_at,
        entry.remind_at,
        _json(task).decode(),
    )


def _updated(change: Change, task: Task) -> tuple[Any, ...]:
    wake, remind = change.wake_at, change.remind_at
    return (
        task.id,
        task.version,
        str(task.status),
        task.priority,
        task.performer_id,
        task.handler,
        due_key(task),
        task.updated_at,
        wake is UNSET,
        None if wake is UNSET else wake,
        remind is UNSET,
        None if remind is UNSET else remind,
        _json(task).decode(),
    )


def _links(some: Sequence[Task], field: str) -> list[tuple[Any, TaskId, int]]:
    return [(value, task.id, task.version) for task in some for value in getattr(task, field)]


def _text(value: object) -> str:
    return _json(value).decode()


def _history_row(event: TaskEvent) -> tuple[TaskId, int, str]:
    return event.data.task.id, event.data.task.version, history_item(event).decode()


def _where(wanted: TaskFilter) -> tuple[list[str], dict[str, Any]]:
    parameters: dict[str, Any] = {
        name: value for name in TaskFilter.__struct_fields__ if (value := getattr(wanted, name)) not in (None, ())
    }
    if "statuses" in parameters:
        parameters["statuses"] = _text([Status(status) for status in wanted.statuses])
    if wanted.q is not None:
        escaped = wanted.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        parameters["q"] = f"%{escaped}%"
    return [SQL[f"where_{name}"] for name in parameters], parameters

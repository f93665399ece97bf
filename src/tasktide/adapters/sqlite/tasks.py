"""The task store on SQLite: each batch is one JSON array and a handful of statements, whatever its size."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from tasktide.adapters.sqlite import statements
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.adapters.sqlite.log import SqliteLog
from tasktide.domain import events, times
from tasktide.domain.events import TaskEvent
from tasktide.domain.ids import TaskId
from tasktide.domain.paging import TaskFilter, TaskQuery
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import Timestamp
from tasktide.ports.clock import Clock
from tasktide.ports.log import Record
from tasktide.ports.tasks import Change, Entry, Totals

SQL = statements.load("tasks")

_json = msgspec.json.Encoder().encode
_decode_tasks = msgspec.json.Decoder(list[Task]).decode
_decode_ids = msgspec.json.Decoder(list[TaskId]).decode
_decode_raws = msgspec.json.Decoder(list[Raw]).decode
_decode_alarms = msgspec.json.Decoder(list[tuple[Task, bool, bool]], strict=False).decode
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
        docs = _text([(entry.task, entry.wake_at, entry.remind_at) for entry in entries])
        history = _history([entry.event for entry in entries])
        records = [record for entry in entries for record in (_record(entry.event), *entry.records)]
        observed = any(entry.task.observer_ids for entry in entries)
        labelled = any(entry.task.labels for entry in entries)

        def work(transaction: Transaction) -> None:
            transaction.execute(SQL["insert"], (docs,))
            if observed:
                transaction.execute(SQL["insert_observers"], (docs,))
            if labelled:
                transaction.execute(SQL["insert_labels"], (docs,))
            transaction.execute(SQL["insert_history"], (history,))
            self._log.write(transaction, records)

        await self._database.run(work)

    async def commit(self, changes: Sequence[Change]) -> frozenset[TaskId]:
        """See the port."""
        first: dict[TaskId, Change] = {}
        for change in changes:
            first.setdefault(change.task_id, change)  # of two changes of one version, one can hold
        versions = _text([(change.task_id, change.expected_version) for change in first.values()])

        def work(transaction: Transaction) -> frozenset[TaskId]:
            current = frozenset(_decode_ids(transaction.value(SQL["current"], (versions,))))
            self._apply(transaction, [change for task_id, change in first.items() if task_id in current])
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

    async def count(self, where: TaskFilter) -> int:
        """See the port."""
        conditions, parameters = _where(where)
        sql = SQL["count"].format(where=" AND ".join(conditions) or "TRUE")
        return int(await self._database.search(lambda tx: tx.value(sql, parameters)))

    async def totals(self) -> Totals:
        """See the port."""
        found = await self._database.read(lambda tx: tx.value(SQL["totals"]))
        return Totals(**msgspec.json.decode(found))

    def _apply(self, transaction: Transaction, changes: Sequence[Change]) -> None:
        states = [(change, change.after) for change in changes if change.after is not None]
        if states:
            docs = _text([(task, *_alarms(change)) for change, task in states])
            transaction.execute(SQL["update"], (docs,))
            self._relink(transaction, changes, docs)
        gone = [change.task_id for change in changes if change.after is None]
        if gone:
            for statement in ("delete", "unlink_observers", "unlink_labels", "delete_history"):
                transaction.execute(SQL[statement], (_text(gone),))
            transaction.execute(SQL["bury"], (_text(gone), self._clock.now()))
        told = [change.event for change in changes if change.event is not None and change.after is not None]
        if told:
            transaction.execute(SQL["insert_history"], (_history(told),))
        self._add_totals(transaction, [task for change, task in states if _finishes(change)])
        self._log.write(
            transaction,
            [
                record
                for change in changes
                for record in (*((_record(change.event),) if change.event else ()), *change.records)
            ],
        )

    def _relink(self, transaction: Transaction, changes: Sequence[Change], docs: str) -> None:
        for field, noun in (("observer_ids", "observers"), ("labels", "labels")):
            moved = [c.task_id for c in changes if c.event is not None and field in c.event.data.changes]
            if moved:
                transaction.execute(SQL[f"unlink_{noun}"], (_text(moved),))
                transaction.execute(SQL[f"insert_{noun}"], (docs,))

    def _add_totals(self, transaction: Transaction, done: Sequence[Task]) -> None:
        if not done:
            return
        ran_ms = sum(
            times.epoch_ms(task.finished_at) - times.epoch_ms(task.started_at)
            for task in done
            if task.finished_at and task.started_at
        )
        transaction.execute(SQL["add_total"], ("done", len(done)))
        transaction.execute(SQL["add_total"], ("processing_ms", max(0, ran_ms)))


def _finishes(change: Change) -> bool:
    event = change.event
    return event is not None and event.type == "task.completed" and event.data.task.is_job


def _alarms(change: Change) -> tuple[Timestamp | None, Timestamp | None, bool, bool]:
    wake, remind = change.wake_at, change.remind_at
    return (
        None if wake is UNSET else wake,
        None if remind is UNSET else remind,
        wake is UNSET,
        remind is UNSET,
    )


def _text(value: object) -> str:
    return _json(value).decode()


def _record(event: TaskEvent) -> Record:
    return Record(events.TASK_EVENTS, str(event.data.task.id), events.encode(event))


def _history(told: Sequence[TaskEvent]) -> str:
    return _text([(event.data.task.id, event.data.task.version, history_item(event)) for event in told])


def history_item(event: TaskEvent) -> dict[str, object]:
    """An event as history keeps it: without the snapshot, which the changes add up to."""
    data = {"version": event.data.task.version, "changes": event.data.changes}
    item: dict[str, object] = {
        name: getattr(event, name) for name in ("specversion", "id", "source", "type", "subject", "time", "actor")
    }
    if event.traceparent is not None:
        item["traceparent"] = event.traceparent
    return item | {"data": data}


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

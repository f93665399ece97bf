"""A data folder with millions of stored tasks, made by the store itself in bulk, without the log."""

import contextlib
import sqlite3
from pathlib import Path

# As the store would have written them: the task, its history, and the notification of its performer.
TASKS = """
WITH RECURSIVE n(id) AS (SELECT ?1 UNION ALL SELECT id + 1 FROM n WHERE id < ?2)
INSERT INTO tasks (id, version, status, priority, creator_id, performer_id, due_key, created_at, updated_at, doc)
SELECT id, 1, 'pending', id % 10, 1 + id % 60, 1 + (id + 1) % 60, '9999-12-31T23:59:59.999Z', at, at, json_object(
    'id', id, 'title', 'Water the plants', 'description', 'On the second floor.', 'status', 'pending',
    'priority', id % 10, 'labels', json('[]'), 'creator_id', 1 + id % 60, 'performer_id', 1 + (id + 1) % 60,
    'observer_ids', json('[]'), 'due_at', NULL, 'handler', NULL, 'payload', NULL, 'run_at', NULL, 'result', NULL,
    'error', NULL, 'attempts', 0, 'max_attempts', 3, 'version', 1, 'created_at', at, 'updated_at', at,
    'started_at', NULL, 'finished_at', NULL)
FROM (SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', 1.7e9 + id / 100.0, 'unixepoch') AS at FROM n)
"""
HISTORY = """
INSERT INTO task_history (task_id, version, event)
SELECT id, 1, json_object('specversion', '1.0', 'id', id || '.1', 'source', '/tasktide', 'subject', 'task/' || id,
    'time', created_at, 'actor', 'user:' || creator_id, 'data', json_object('version', 1, 'changes', json('{}')),
    'type', 'task.created')
FROM tasks WHERE id BETWEEN ?1 AND ?2
"""
NOTIFICATIONS = """
INSERT INTO notifications (id, user_id, event_id, kind, task_id, message, created_at)
SELECT id, performer_id, id || '.1', 'task.assigned', id, '“Water the plants” is yours to do', created_at
FROM tasks WHERE id BETWEEN ?1 AND ?2
"""
LEASES = "INSERT INTO id_leases (name, leased) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET leased = excluded.leased"
AT_ONCE = 100_000


def grow(folder: Path, tasks: int) -> None:
    """Bring a folder that a server has made to so many tasks; the server must not run."""
    with contextlib.closing(sqlite3.connect(folder / "tasktide.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1000000")
        have = connection.execute("SELECT coalesce(max(id), 0) FROM tasks").fetchone()[0]
        for first in range(have + 1, tasks + 1, AT_ONCE):
            span = (first, min(first + AT_ONCE - 1, tasks))
            connection.execute("BEGIN")
            for statement in (TASKS, HISTORY, NOTIFICATIONS):
                connection.execute(statement, span)
            connection.execute("COMMIT")
        for name in ("tasks", "notifications"):
            connection.execute(LEASES, (name, tasks + 10_000))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

-- name: insert
-- New tasks, a row each; known and deleted ids are left alone. Write lock.
INSERT OR IGNORE INTO tasks (
    id, version, status, priority, creator_id, performer_id, handler, due_key,
    created_at, updated_at, wake_at, remind_at, doc
)
SELECT * FROM (VALUES {rows})
WHERE NOT EXISTS (SELECT 1 FROM task_tombstones AS t WHERE t.id = column1)

-- name: insert_observers
-- Links (user, task, version) of tasks that still have that version. Write lock; primary keys.
INSERT OR IGNORE INTO task_observers (user_id, task_id)
SELECT column1, column2 FROM (VALUES {rows})
WHERE EXISTS (SELECT 1 FROM tasks AS t WHERE t.id = column2 AND t.version = column3)

-- name: insert_labels
-- As insert_observers, for labels.
INSERT OR IGNORE INTO task_labels (label, task_id)
SELECT column1, column2 FROM (VALUES {rows})
WHERE EXISTS (SELECT 1 FROM tasks AS t WHERE t.id = column2 AND t.version = column3)

-- name: insert_history
-- Events (task, version, event); known ones and those of deleted tasks are left alone. Write lock; primary keys.
INSERT OR IGNORE INTO task_history (task_id, version, event)
SELECT * FROM (VALUES {rows})
WHERE EXISTS (SELECT 1 FROM tasks AS t WHERE t.id = column1)

-- name: current
-- Of (id, version) pairs, the ids that still have that version, as one JSON array. Primary key.
SELECT json_group_array(t.id) FROM (VALUES {rows}) AS v JOIN tasks AS t
ON t.id = v.column1 AND t.version = v.column2

-- name: update
-- New states: (id, version, status, priority, performer_id, handler, due_key, updated_at, keep_wake, wake_at,
-- keep_remind, remind_at, doc). Write lock; primary key.
UPDATE tasks SET
    version = n.column2, status = n.column3, priority = n.column4, performer_id = n.column5, handler = n.column6,
    due_key = n.column7, updated_at = n.column8,
    wake_at = iif(n.column9, tasks.wake_at, n.column10),
    remind_at = iif(n.column11, tasks.remind_at, n.column12),
    doc = n.column13
FROM (VALUES {rows}) AS n
WHERE tasks.id = n.column1

-- name: unlink_observers
-- Forgets the observers of tasks, ids as a JSON array. Write lock; task_observers_by_task.
DELETE FROM task_observers WHERE task_id IN (SELECT value FROM json_each(?))

-- name: unlink_labels
-- As unlink_observers, for labels.
DELETE FROM task_labels WHERE task_id IN (SELECT value FROM json_each(?))

-- name: delete
-- Removes tasks, ids as a JSON array. Write lock; primary key.
DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?))

-- name: delete_history
-- Removes what happened to them. Write lock; primary key.
DELETE FROM task_history WHERE task_id IN (SELECT value FROM json_each(?))

-- name: bury
-- Remembers deleted ids (JSON array), so that nothing brings them back. Write lock.
INSERT OR IGNORE INTO task_tombstones (id, deleted_at) SELECT value, ?2 FROM json_each(?1)

-- name: purge
-- Forgets what was deleted long ago. Write lock; task_tombstones_old.
DELETE FROM task_tombstones WHERE deleted_at < ?

-- name: add_totals
-- Adds to both running totals: jobs done, and the milliseconds they ran. Write lock.
UPDATE task_totals SET value = value + iif(name = 'done', ?1, ?2)

-- name: totals
-- The running totals as one JSON object.
SELECT json_group_object(name, value) FROM task_totals

-- name: get
-- Tasks by id (JSON array) as one JSON array. Primary key.
SELECT '[' || coalesce(group_concat(doc, ','), '') || ']'
FROM tasks WHERE id IN (SELECT value FROM json_each(?))

-- name: history
-- A task's events behind a version, oldest first, as one JSON array. Primary key.
SELECT '[' || coalesce(group_concat(event, ','), '') || ']'
FROM (SELECT event FROM task_history WHERE task_id = ? AND version > ? ORDER BY version LIMIT ?)

-- name: alarms
-- Tasks to wake or to remind of, most overdue first, as JSON [doc, wake, remind]. tasks_to_wake, tasks_to_remind.
SELECT '[' || coalesce(group_concat(row, ','), '') || ']' FROM (
    SELECT json_array(json(t.doc), coalesce(t.wake_at <= ?1, 0), coalesce(t.remind_at <= ?1, 0)) AS row
    FROM (
        SELECT id, min(at) AS at FROM (
            SELECT id, wake_at AS at FROM tasks WHERE wake_at IS NOT NULL AND wake_at <= ?1
            UNION ALL
            SELECT id, remind_at AS at FROM tasks WHERE remind_at IS NOT NULL AND remind_at <= ?1
            ORDER BY at LIMIT ?2
        ) GROUP BY id
    ) AS due JOIN tasks AS t ON t.id = due.id ORDER BY due.at, t.id
)

-- name: find
-- A page of a list as one JSON array; conditions and order are put in from the fragments below.
SELECT '[' || coalesce(group_concat(doc, ','), '') || ']'
FROM (SELECT doc FROM tasks AS t WHERE {where} ORDER BY {order} LIMIT :limit)

-- name: count
-- How many tasks match.
SELECT count(*) FROM tasks AS t WHERE {where}

-- name: where_performer_id
t.performer_id = :performer_id

-- name: where_creator_id
t.creator_id = :creator_id

-- name: where_observer_id
t.id IN (SELECT task_id FROM task_observers WHERE user_id = :observer_id)

-- name: where_statuses
t.status IN (SELECT value FROM json_each(:statuses))

-- name: where_handler
t.handler = :handler

-- name: where_job
(t.handler IS NOT NULL) = :job

-- name: where_label
t.id IN (SELECT task_id FROM task_labels WHERE label = :label)

-- name: where_q
(t.doc ->> 'title' LIKE :q ESCAPE '\' OR t.doc ->> 'description' LIKE :q ESCAPE '\')

-- name: where_due_before
t.due_key < :due_before

-- name: where_updated_after
t.updated_at > :updated_after

-- name: after_ascending
(t.{column}, t.id) > (:after_value, :after_id)

-- name: after_descending
(t.{column}, t.id) < (:after_value, :after_id)

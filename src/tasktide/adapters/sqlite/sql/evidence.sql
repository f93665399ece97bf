-- name: snapshot
-- Any read: it fixes what this connection sees.
SELECT count(*) FROM log_topics

-- name: damage
-- A row `ok`, or one for each thing that is wrong.
PRAGMA integrity_check

-- name: log
-- A topic's batches behind an offset. log_batches_by_offset.
SELECT last_offset, records, body FROM log_batches WHERE topic = ? AND last_offset > ? ORDER BY last_offset LIMIT ?

-- name: records
-- How many records stand in the tables of the log.
SELECT coalesce(sum(records), 0) FROM log_batches

-- name: tasks
-- Tasks behind an id. Primary key.
SELECT id, doc, version, status, priority, creator_id, performer_id, handler, created_at, updated_at
FROM tasks WHERE id > ? ORDER BY id LIMIT ?

-- name: history
-- Events behind a task and version. Primary key.
SELECT task_id, version, event FROM task_history WHERE (task_id, version) > (?, ?) ORDER BY task_id, version LIMIT ?

-- name: notifications
-- Notifications behind an id. Primary key.
SELECT id, user_id, event_id, kind, task_id, message FROM notifications WHERE id > ? ORDER BY id LIMIT ?

-- name: deleted
SELECT id FROM task_tombstones

-- name: parked
SELECT topic, pipeline, position FROM dead_letters UNION SELECT topic, pipeline, position FROM letters_gone

-- name: choosy
SELECT user_id FROM preferences

-- name: patient
-- The reader may think between two pages for as long as it needs.
SET LOCAL idle_in_transaction_session_timeout = 0

-- name: tasks
-- A page of tasks. One that arrives from another shard still stands there. Primary key.
SELECT id, doc, moving, version, status, priority, creator_id, performer_id, handler, created_at, updated_at
FROM tasks WHERE id > $1 ORDER BY id LIMIT $2

-- name: history
-- A page of events. Primary key.
SELECT task_id, version, event FROM task_history WHERE (task_id, version) > ($1, $2) ORDER BY task_id, version LIMIT $3

-- name: notifications
-- A page of all inboxes. Primary key.
SELECT id, user_id, event_id, kind, task_id, message FROM notifications WHERE id > $1 ORDER BY id LIMIT $2

-- name: deleted
-- Ids of deleted tasks.
SELECT id FROM task_tombstones WHERE NOT has_moved

-- name: outgoing
-- Records that wait for a relay.
SELECT coalesce(sum(records), 0) FROM outbox

-- name: parked
-- Which records are, or were, dead letters.
SELECT topic, pipeline, position FROM dead_letters UNION SELECT topic, pipeline, position FROM letters_gone

-- name: choosy
-- Users with preferences of their own.
SELECT user_id FROM preferences

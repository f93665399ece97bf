-- name: lock
-- One inserter a shard at a time, so that ids grow in the order of commits. Ends with the transaction.
SELECT pg_advisory_xact_lock(7245914)

-- name: known
-- Of (user, event) pairs, a column each, those that are stored. notifications_by_event.
SELECT n.id, n.user_id, n.event_id, n.kind, n.task_id, n.message, n.created_at, n.read_at
FROM unnest($1::bigint[], $2::text[]) AS g (user_id, event_id)
JOIN notifications AS n ON n.user_id = g.user_id AND n.event_id = g.event_id

-- name: insert
-- New notifications, a column each.
INSERT INTO notifications (id, user_id, event_id, kind, task_id, message, created_at)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
ON CONFLICT (user_id, event_id) DO NOTHING RETURNING id

-- name: get
-- One notification of one user. Primary key.
SELECT id, user_id, event_id, kind, task_id, message, created_at, read_at
FROM notifications WHERE id = $1 AND user_id = $2

-- name: newest
-- The inbox downwards from an id. notifications_unread, notifications_read.
(SELECT id, user_id, event_id, kind, task_id, message, created_at, read_at
 FROM notifications WHERE user_id = $1 AND id < $2 AND read_at IS NULL ORDER BY id DESC LIMIT $3)
UNION ALL
(SELECT id, user_id, event_id, kind, task_id, message, created_at, read_at
 FROM notifications WHERE user_id = $1 AND id < $2 AND read_at IS NOT NULL ORDER BY id DESC LIMIT $3)
ORDER BY id DESC LIMIT $3

-- name: newest_unread
-- As newest, the unread ones alone. notifications_unread.
SELECT id, user_id, event_id, kind, task_id, message, created_at, read_at
FROM notifications WHERE user_id = $1 AND id < $2 AND read_at IS NULL ORDER BY id DESC LIMIT $3

-- name: after
-- The inbox upwards from an id. notifications_unread, notifications_read.
(SELECT id, user_id, event_id, kind, task_id, message, created_at, read_at
 FROM notifications WHERE user_id = $1 AND id > $2 AND read_at IS NULL ORDER BY id LIMIT $3)
UNION ALL
(SELECT id, user_id, event_id, kind, task_id, message, created_at, read_at
 FROM notifications WHERE user_id = $1 AND id > $2 AND read_at IS NOT NULL ORDER BY id LIMIT $3)
ORDER BY id LIMIT $3

-- name: after_unread
-- As after, the unread ones alone. notifications_unread.
SELECT id, user_id, event_id, kind, task_id, message, created_at, read_at
FROM notifications WHERE user_id = $1 AND id > $2 AND read_at IS NULL ORDER BY id LIMIT $3

-- name: last
-- The newest id. notifications_unread, notifications_read.
SELECT greatest(0,
    (SELECT max(id) FROM notifications WHERE user_id = $1 AND read_at IS NULL),
    (SELECT max(id) FROM notifications WHERE user_id = $1 AND read_at IS NOT NULL))

-- name: unread
-- How many are unread. notifications_unread.
SELECT count(*) FROM notifications WHERE user_id = $1 AND read_at IS NULL

-- name: read_one
-- Marks one as read. Primary key.
UPDATE notifications SET read_at = $3 WHERE user_id = $1 AND id = $2 AND read_at IS NULL

-- name: read_up_to
-- Marks all up to an id as read. notifications_unread.
UPDATE notifications SET read_at = $3 WHERE user_id = $1 AND id <= $2 AND read_at IS NULL

-- name: known
-- Of (user, event) pairs, a column each, those that are stored. notifications_by_event.
SELECT n.id, n.user_id, n.event_id, n.kind, n.task_id, n.message, n.created_at, n.read_at
FROM unnest($1::bigint[], $2::text[]) AS g (user_id, event_id)
JOIN notifications AS n ON n.user_id = g.user_id AND n.event_id = g.event_id

-- name: insert
-- New notifications, a column each, and their count; all of them or, when the shard has too few numbers left, none.
-- Inserters wait for each other at the row of the numbers. Primary key, notifications_by_event.
WITH numbered AS (
    UPDATE notification_numbers SET last = last + $7 WHERE last + $7 <= leased RETURNING last - $7 AS before
)
INSERT INTO notifications (id, user_id, event_id, kind, task_id, message, created_at)
SELECT numbered.before + g.place, g.user_id, g.event_id, g.kind, g.task_id, g.message, g.created_at
FROM numbered, unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
    WITH ORDINALITY AS g (user_id, event_id, kind, task_id, message, created_at, place)
ON CONFLICT (user_id, event_id) DO NOTHING RETURNING id, user_id, event_id

-- name: lease
-- Gives the shard the numbers from $1 to $2, unless it has later ones. Primary key.
UPDATE notification_numbers SET last = $1 - 1, leased = $2 WHERE leased < $1

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

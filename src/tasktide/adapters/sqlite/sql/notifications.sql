-- name: insert
-- New notifications (id, user, event, kind, task, message, created); known (user, event) are left alone. Write lock.
INSERT OR IGNORE INTO notifications (id, user_id, event_id, kind, task_id, message, created_at) VALUES {rows}

-- name: stored
-- Notifications by a JSON array of [user, event], in the order given, as one JSON array. notifications_by_event.
SELECT json_group_array(json(row)) FROM (
    SELECT json_object(
        'id', n.id, 'user_id', n.user_id, 'kind', n.kind, 'task_id', n.task_id,
        'message', n.message, 'created_at', n.created_at, 'read_at', n.read_at) AS row
    FROM json_each(?) AS e JOIN notifications AS n
    ON n.user_id = (e.value ->> 0) AND n.event_id = (e.value ->> 1)
    ORDER BY e.key
)

-- name: get
-- One notification of one user as JSON. Primary key.
SELECT json_object(
    'id', id, 'user_id', user_id, 'kind', kind, 'task_id', task_id,
    'message', message, 'created_at', created_at, 'read_at', read_at)
FROM notifications WHERE id = ? AND user_id = ?

-- name: newest
-- The inbox downwards from an id, as one JSON array. notifications_unread, notifications_read.
SELECT json_group_array(json_object(
    'id', id, 'user_id', user_id, 'kind', kind, 'task_id', task_id,
    'message', message, 'created_at', created_at, 'read_at', read_at))
FROM (
    SELECT * FROM (SELECT * FROM notifications
        WHERE user_id = ?1 AND id < ?2 AND read_at IS NULL ORDER BY id DESC LIMIT ?3)
    UNION ALL
    SELECT * FROM (SELECT * FROM notifications
        WHERE user_id = ?1 AND id < ?2 AND read_at IS NOT NULL ORDER BY id DESC LIMIT ?3)
    ORDER BY id DESC LIMIT ?3)

-- name: newest_unread
-- As newest, the unread ones alone. notifications_unread.
SELECT json_group_array(json_object(
    'id', id, 'user_id', user_id, 'kind', kind, 'task_id', task_id,
    'message', message, 'created_at', created_at, 'read_at', read_at))
FROM (SELECT * FROM notifications WHERE user_id = ? AND id < ? AND read_at IS NULL ORDER BY id DESC LIMIT ?)

-- name: after
-- The inbox upwards from an id, as one JSON array. notifications_unread, notifications_read.
SELECT json_group_array(json_object(
    'id', id, 'user_id', user_id, 'kind', kind, 'task_id', task_id,
    'message', message, 'created_at', created_at, 'read_at', read_at))
FROM (
    SELECT * FROM (SELECT * FROM notifications
        WHERE user_id = ?1 AND id > ?2 AND read_at IS NULL ORDER BY id LIMIT ?3)
    UNION ALL
    SELECT * FROM (SELECT * FROM notifications
        WHERE user_id = ?1 AND id > ?2 AND read_at IS NOT NULL ORDER BY id LIMIT ?3)
    ORDER BY id LIMIT ?3)

-- name: after_unread
-- As after, the unread ones alone. notifications_unread.
SELECT json_group_array(json_object(
    'id', id, 'user_id', user_id, 'kind', kind, 'task_id', task_id,
    'message', message, 'created_at', created_at, 'read_at', read_at))
FROM (SELECT * FROM notifications WHERE user_id = ? AND id > ? AND read_at IS NULL ORDER BY id LIMIT ?)

-- name: last
-- The newest id. notifications_unread, notifications_read.
SELECT max(
    coalesce((SELECT max(id) FROM notifications WHERE user_id = ?1 AND read_at IS NULL), 0),
    coalesce((SELECT max(id) FROM notifications WHERE user_id = ?1 AND read_at IS NOT NULL), 0))

-- name: unread
-- How many are unread. notifications_unread.
SELECT count(*) FROM notifications WHERE user_id = ? AND read_at IS NULL

-- name: read_one
-- Marks one as read. Write lock; primary key.
UPDATE notifications SET read_at = ?3 WHERE user_id = ?1 AND id = ?2 AND read_at IS NULL

-- name: read_up_to
-- Marks all up to an id as read. Write lock; notifications_unread.
UPDATE notifications SET read_at = ?3 WHERE user_id = ?1 AND id <= ?2 AND read_at IS NULL

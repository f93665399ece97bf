-- name: put
-- New deliveries from a JSON array of [notification, channel]; known ones are left alone. Write lock.
INSERT OR IGNORE INTO deliveries (notification_id, channel, state, due_at, attempts, notification, user_id)
SELECT e.value ->> '$[0].id', e.value ->> 1, 'waiting', ?2, 0, e.value -> 0, e.value ->> '$[0].user_id'
FROM json_each(?1) AS e

-- name: any_due
-- Whether there is anything to take, so that idle looks take no write lock. deliveries_due.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'waiting' AND channel <> 'webhook' AND due_at <= ?)

-- name: due
-- Deliveries but webhooks to take now, as one JSON array of [notification, channel, attempts]; of a JSON array of [id, channel]
-- alone, if there is one. deliveries_due.
SELECT json_group_array(json_array(json(notification), channel, attempts + 1)) FROM (
    SELECT * FROM deliveries WHERE state = 'waiting' AND channel <> 'webhook' AND due_at <= ?1
    AND (?3 IS NULL OR (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?3) AS e))
    ORDER BY due_at LIMIT ?2
)

-- name: waiting_users
-- Users above ?2 with a webhook to call now and none under way, as one JSON array: from one user to the next, however
-- much waits for each. deliveries_calls_due.
WITH RECURSIVE waiting (user_id) AS (
    SELECT min(user_id) FROM deliveries WHERE state = 'waiting' AND channel = 'webhook' AND user_id > ?2
    UNION ALL
    SELECT (
        SELECT min(d.user_id) FROM deliveries AS d
        WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id > w.user_id
    ) FROM waiting AS w WHERE w.user_id IS NOT NULL
)
SELECT json_group_array(user_id) FROM (
    SELECT w.user_id FROM waiting AS w WHERE EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id = w.user_id AND d.due_at <= ?1
    ) AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id = w.user_id AND d.due_at > ?1
        AND d.error IS NULL
    ) LIMIT ?3
)

-- name: calls
-- A user's webhooks to call now, in their order, as due; none while some are under way. deliveries_calls, and
-- deliveries_calls_due.
SELECT json_group_array(json_array(json(notification), channel, attempts + 1)) FROM (
    SELECT * FROM deliveries INDEXED BY deliveries_calls
    WHERE state = 'waiting' AND channel = 'webhook' AND user_id = ?2 AND due_at <= ?1
    AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id = ?2 AND d.due_at > ?1 AND d.error IS NULL
    )
    ORDER BY notification_id LIMIT ?3
)

-- name: lease
-- Keeps taken ones (JSON array of [id, channel]) from others until the lease ends. Write lock; primary key.
UPDATE deliveries SET due_at = ?2, attempts = attempts + 1, error = NULL
WHERE (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?1) AS e)

-- name: done
-- Write lock; primary key.
UPDATE deliveries SET state = 'done', error = NULL, due_at = ?2
WHERE (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?1) AS e)

-- name: retry
-- Write lock; primary key.
UPDATE deliveries SET due_at = ?3, error = ?4 WHERE notification_id = ?1 AND channel = ?2

-- name: give_back
-- Write lock; primary key.
UPDATE deliveries SET due_at = ?2, attempts = attempts - 1
WHERE (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?1) AS e)

-- name: bury
-- Write lock; primary key.
UPDATE deliveries SET state = 'dead', due_at = ?3, error = ?4 WHERE notification_id = ?1 AND channel = ?2

-- name: revive
-- Write lock; primary key.
UPDATE deliveries SET state = 'waiting', due_at = ?2, attempts = 0, error = NULL
WHERE state = 'dead' AND (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?1) AS e)

-- name: release
-- At start nobody holds a lease: whoever did is gone. One that has failed, and waits for its time, goes on waiting. Write
-- lock.
UPDATE deliveries SET due_at = ?1 WHERE state = 'waiting' AND attempts > 0 AND error IS NULL

-- name: purge
-- Forgets what went out long ago. Write lock; deliveries_done.
DELETE FROM deliveries WHERE state = 'done' AND due_at < ?

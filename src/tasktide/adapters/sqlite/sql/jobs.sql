-- name: put
-- New deliveries from a JSON array of [notification, channel]; known ones are left alone. Write lock.
INSERT OR IGNORE INTO deliveries (notification_id, channel, state, due_at, attempts, notification)
SELECT e.value ->> '$[0].id', e.value ->> 1, 'waiting', ?2, 0, e.value -> 0 FROM json_each(?1) AS e

-- name: any_due
-- Whether there is anything to take, so that idle looks take no write lock. deliveries_due.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'waiting' AND due_at <= ?)

-- name: due
-- Deliveries to take now, as one JSON array of [notification, channel, attempts]; of a JSON array of [id, channel]
-- alone, if there is one. deliveries_due.
SELECT json_group_array(json_array(json(notification), channel, attempts + 1)) FROM (
    SELECT * FROM deliveries WHERE state = 'waiting' AND due_at <= ?1
    AND (?3 IS NULL OR (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?3) AS e))
    ORDER BY due_at LIMIT ?2
)

-- name: lease
-- Keeps taken ones (JSON array of [id, channel]) from others until the lease ends. Write lock; primary key.
UPDATE deliveries SET due_at = ?2, attempts = attempts + 1
WHERE (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?1) AS e)

-- name: done
-- Write lock; primary key.
UPDATE deliveries SET state = 'done', error = NULL, due_at = ?2
WHERE (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?1) AS e)

-- name: retry
-- Write lock; primary key.
UPDATE deliveries SET due_at = ?3, error = ?4 WHERE notification_id = ?1 AND channel = ?2

-- name: bury
-- Write lock; primary key.
UPDATE deliveries SET state = 'dead', due_at = ?3, error = ?4 WHERE notification_id = ?1 AND channel = ?2

-- name: revive
-- Write lock; primary key.
UPDATE deliveries SET state = 'waiting', due_at = ?2, attempts = 0, error = NULL
WHERE state = 'dead' AND (notification_id, channel) IN (SELECT e.value ->> 0, e.value ->> 1 FROM json_each(?1) AS e)

-- name: waiting
-- How many wait. deliveries_due.
SELECT count(*) FROM deliveries WHERE state = 'waiting'

-- name: release
-- At start nobody holds a lease: whoever did is gone. One that had failed before waits its lease out. Write lock.
UPDATE deliveries SET due_at = ?1 WHERE state = 'waiting' AND attempts > 0 AND error IS NULL

-- name: purge
-- Forgets what went out long ago. Write lock; deliveries_done.
DELETE FROM deliveries WHERE state = 'done' AND due_at < ?

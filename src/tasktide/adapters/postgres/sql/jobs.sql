-- name: put
-- New deliveries, a column each; known ones are left alone.
INSERT INTO deliveries (notification_id, channel, state, due_at, attempts, notification)
SELECT id, channel, 'waiting', $4, 0, notification
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (id, channel, notification)
ON CONFLICT DO NOTHING

-- name: take
-- Leases what is due, oldest first, to this taker alone. deliveries_due.
WITH due AS MATERIALIZED (
    SELECT notification_id, channel, due_at FROM deliveries WHERE state = 'waiting' AND due_at <= $1
    ORDER BY due_at, notification_id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE deliveries AS d SET due_at = $3, attempts = d.attempts + 1 FROM due
WHERE d.notification_id = due.notification_id AND d.channel = due.channel
RETURNING d.notification, d.channel, d.attempts, due.due_at

-- name: take_among
-- As take, of these alone, a column each. Primary key.
WITH due AS MATERIALIZED (
    SELECT d.notification_id, d.channel, d.due_at FROM deliveries AS d
    JOIN unnest($4::bigint[], $5::text[]) AS n (id, channel) ON d.notification_id = n.id AND d.channel = n.channel
    WHERE d.state = 'waiting' AND d.due_at <= $1
    ORDER BY d.due_at, d.notification_id LIMIT $2 FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries AS d SET due_at = $3, attempts = d.attempts + 1 FROM due
WHERE d.notification_id = due.notification_id AND d.channel = due.channel
RETURNING d.notification, d.channel, d.attempts, due.due_at

-- name: any_due
-- Whether there is anything to take, so that idle looks write nothing. deliveries_due.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'waiting' AND due_at <= $1)

-- name: done
-- Primary key.
UPDATE deliveries AS d SET state = 'done', error = NULL, due_at = $3
FROM unnest($1::bigint[], $2::text[]) AS n (id, channel) WHERE d.notification_id = n.id AND d.channel = n.channel

-- name: retry
-- Primary key.
UPDATE deliveries SET due_at = $3, error = $4 WHERE notification_id = $1 AND channel = $2

-- name: bury
-- Primary key.
UPDATE deliveries SET state = 'dead', due_at = $3, error = $4 WHERE notification_id = $1 AND channel = $2

-- name: revive
-- Primary key.
UPDATE deliveries AS d SET state = 'waiting', due_at = $3, attempts = 0, error = NULL
FROM unnest($1::bigint[], $2::text[]) AS n (id, channel)
WHERE d.state = 'dead' AND d.notification_id = n.id AND d.channel = n.channel

-- name: waiting
-- How many wait. deliveries_due.
SELECT count(*) FROM deliveries WHERE state = 'waiting'

-- name: purge
-- Forgets what went out long ago. deliveries_done.
DELETE FROM deliveries WHERE state = 'done' AND due_at < $1

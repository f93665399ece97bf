-- name: put
-- New deliveries, a column each; known ones are left alone.
INSERT INTO deliveries (notification_id, channel, state, due_at, attempts, notification, user_id)
SELECT id, channel, 'waiting', $4, 0, notification, user_id
FROM unnest($1::bigint[], $2::text[], $3::text[], $5::bigint[]) AS n (id, channel, notification, user_id)
ON CONFLICT DO NOTHING

-- name: take
-- Leases what is due, webhooks apart, oldest first, to this taker alone. deliveries_due.
WITH due AS MATERIALIZED (
    SELECT notification_id, channel, due_at FROM deliveries
    WHERE state = 'waiting' AND channel <> 'webhook' AND due_at <= $1
    ORDER BY due_at, notification_id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE deliveries AS d SET due_at = $3, attempts = d.attempts + 1, error = NULL FROM due
WHERE d.notification_id = due.notification_id AND d.channel = due.channel
RETURNING d.notification, d.channel, d.attempts, due.due_at

-- name: take_among
-- As take, of these alone, a column each. Primary key.
WITH due AS MATERIALIZED (
    SELECT d.notification_id, d.channel, d.due_at FROM deliveries AS d
    JOIN unnest($4::bigint[], $5::text[]) AS n (id, channel) ON d.notification_id = n.id AND d.channel = n.channel
    WHERE d.state = 'waiting' AND d.channel <> 'webhook' AND d.due_at <= $1
    ORDER BY d.due_at, d.notification_id LIMIT $2 FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries AS d SET due_at = $3, attempts = d.attempts + 1, error = NULL FROM due
WHERE d.notification_id = due.notification_id AND d.channel = due.channel
RETURNING d.notification, d.channel, d.attempts, due.due_at

-- name: any_due
-- Whether there is anything to take, so that idle looks write nothing. deliveries_due.
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'waiting' AND channel <> 'webhook' AND due_at <= $1)

-- name: waiting_users
-- Users above $2 with a webhook to call now and none under way: from one user to the next, however much waits for each.
-- deliveries_calls_due.
WITH RECURSIVE waiting (user_id) AS (
    SELECT min(user_id) FROM deliveries WHERE state = 'waiting' AND channel = 'webhook' AND user_id > $2
    UNION ALL
    SELECT (
        SELECT min(d.user_id) FROM deliveries AS d
        WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id > w.user_id
    ) FROM waiting AS w WHERE w.user_id IS NOT NULL
)
SELECT w.user_id FROM waiting AS w WHERE EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id = w.user_id AND d.due_at <= $1
) AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id = w.user_id AND d.due_at > $1
    AND d.error IS NULL
) LIMIT $3

-- name: take_calls
-- Leases a user's webhooks to call now, in their order; none while some are under way. deliveries_calls, and
-- deliveries_calls_due.
WITH due AS MATERIALIZED (
    SELECT notification_id, channel, due_at FROM deliveries
    WHERE state = 'waiting' AND channel = 'webhook' AND user_id = $4 AND due_at <= $1
    AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.state = 'waiting' AND d.channel = 'webhook' AND d.user_id = $4 AND d.due_at > $1 AND d.error IS NULL
    )
    ORDER BY notification_id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE deliveries AS d SET due_at = $3, attempts = d.attempts + 1, error = NULL FROM due
WHERE d.notification_id = due.notification_id AND d.channel = due.channel
RETURNING d.notification, d.channel, d.attempts, due.due_at

-- name: done
-- Primary key.
UPDATE deliveries AS d SET state = 'done', error = NULL, due_at = $3
FROM unnest($1::bigint[], $2::text[]) AS n (id, channel) WHERE d.notification_id = n.id AND d.channel = n.channel

-- name: retry
-- Primary key.
UPDATE deliveries SET due_at = $3, error = $4 WHERE notification_id = $1 AND channel = $2

-- name: give_back
-- Primary key.
UPDATE deliveries AS d SET due_at = $3, attempts = attempts - 1
FROM unnest($1::bigint[], $2::text[]) AS n (id, channel) WHERE d.notification_id = n.id AND d.channel = n.channel

-- name: bury
-- Primary key.
UPDATE deliveries SET state = 'dead', due_at = $3, error = $4 WHERE notification_id = $1 AND channel = $2

-- name: revive
-- Primary key.
UPDATE deliveries AS d SET state = 'waiting', due_at = $3, attempts = 0, error = NULL
FROM unnest($1::bigint[], $2::text[]) AS n (id, channel)
WHERE d.state = 'dead' AND d.notification_id = n.id AND d.channel = n.channel

-- name: purge
-- Forgets what went out long ago. deliveries_done.
DELETE FROM deliveries WHERE state = 'done' AND due_at < $1

-- name: get
-- Webhooks by user id. Primary key.
SELECT user_id, url, secret, created_at FROM webhooks WHERE user_id = ANY($1::bigint[])

-- name: put
-- A first webhook, or another address for the one there is; as get.
INSERT INTO webhooks (user_id, url, secret, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE SET url = excluded.url
RETURNING user_id, url, secret, created_at

-- name: remove
-- Primary key.
DELETE FROM webhooks WHERE user_id = $1

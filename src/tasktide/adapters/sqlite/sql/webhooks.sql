-- name: get
-- Webhooks by user id (JSON array), as one JSON array of [user_id, webhook]. Primary key.
SELECT json_group_array(json_array(user_id, json_object('url', url, 'secret', secret, 'created_at', created_at)))
FROM webhooks WHERE user_id IN (SELECT value FROM json_each(?))

-- name: put
-- A first webhook, or another address for the one there is. Write lock.
INSERT INTO webhooks (user_id, url, secret, created_at) VALUES (?, ?, ?, ?)
ON CONFLICT (user_id) DO UPDATE SET url = excluded.url

-- name: remove
-- Write lock; primary key.
DELETE FROM webhooks WHERE user_id = ?

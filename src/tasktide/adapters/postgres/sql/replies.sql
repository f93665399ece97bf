-- name: get
-- What is known under a key and has not expired; held against others until the transaction ends. Primary key.
SELECT digest, first_id, owner, owned_until, status, headers, body FROM replies
WHERE key = $1 AND expires_at > $2 FOR UPDATE

-- name: lock
-- One at a time for each key, known or not.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0))

-- name: claim
-- Takes a free or expired key. Primary key.
INSERT INTO replies (key, digest, first_id, owner, owned_until, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, first_id = excluded.first_id, owner = excluded.owner,
    owned_until = excluded.owned_until, expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL

-- name: take_over
-- Goes on with a key whose process is gone. Primary key.
UPDATE replies SET owner = $2, owned_until = $3 WHERE key = $1

-- name: settle
-- Keeps the answer. Primary key.
UPDATE replies SET owner = NULL, status = $2, headers = $3, body = $4 WHERE key = $1

-- name: release
-- Leaves a key to be taken over. Primary key.
UPDATE replies SET owner = NULL WHERE key = $1 AND status IS NULL

-- name: forget
-- Primary key.
DELETE FROM replies WHERE key = $1 AND status IS NULL

-- name: purge
-- Removes expired keys. replies_by_expiry.
DELETE FROM replies WHERE expires_at <= $1

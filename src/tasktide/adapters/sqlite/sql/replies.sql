-- name: get
-- What is known under a key and has not expired. Primary key.
SELECT digest, first_id, owner, status, headers, body FROM replies WHERE key = ? AND expires_at > ?

-- name: claim
-- Takes a free or expired key. Write lock; primary key.
INSERT INTO replies (key, digest, first_id, owner, expires_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, first_id = excluded.first_id, owner = excluded.owner,
    expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL

-- name: take_over
-- Goes on with a key whose process is gone. Write lock; primary key.
UPDATE replies SET owner = ?2 WHERE key = ?1

-- name: settle
-- Keeps the answer. Write lock; primary key.
UPDATE replies SET owner = NULL, status = ?2, headers = ?3, body = ?4 WHERE key = ?1

-- name: release
-- Leaves a key to be taken over. Write lock; primary key.
UPDATE replies SET owner = NULL WHERE key = ? AND status IS NULL

-- name: forget
-- Write lock; primary key.
DELETE FROM replies WHERE key = ? AND status IS NULL

-- name: purge
-- Removes expired keys. Write lock; replies_by_expiry.
DELETE FROM replies WHERE expires_at <= ?

-- name: add
-- A new account; the first one becomes admin. The lock keeps two from being the first.
INSERT INTO users (id, email, name, role, created_at, password_hash, version)
SELECT $1, $2, $3, CASE WHEN EXISTS (SELECT 1 FROM users) THEN $4 ELSE 'admin' END, $5, $6, $7
RETURNING role

-- name: save
-- Replaces an account of the version before, unless that would leave no admin.
UPDATE users SET name = $2, role = $3, password_hash = $4, version = $5 WHERE id = $1 AND version = $5 - 1
AND (role <> 'admin' OR $3 = 'admin' OR EXISTS (SELECT 1 FROM users AS u WHERE u.role = 'admin' AND u.id <> $1))

-- name: version
-- The version of an account. Primary key.
SELECT version FROM users WHERE id = $1

-- name: lock_accounts
-- Held while it is decided who is an admin.
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE

-- name: get
-- Accounts by id. Primary key.
SELECT id, email, name, role, created_at, password_hash, version FROM users WHERE id = ANY($1::bigint[])

-- name: by_email
-- The account of an email. Unique index.
SELECT id, email, name, role, created_at, password_hash, version FROM users WHERE email = $1

-- name: find
-- A page of accounts. Primary key.
SELECT id, email, name, role, created_at, password_hash, version FROM users WHERE id > $1 ORDER BY id LIMIT $2

-- name: open_session
-- Primary key.
INSERT INTO sessions (id, user_id, expires_at) VALUES ($1, $2, $3)

-- name: session
-- A live session. Primary key.
SELECT id, user_id, expires_at FROM sessions WHERE id = $1 AND expires_at > $2

-- name: close_session
-- Primary key.
DELETE FROM sessions WHERE id = $1

-- name: close_others
-- A user's sessions but one; their ids. sessions_by_user.
DELETE FROM sessions WHERE user_id = $1 AND id <> $2 RETURNING id

-- name: purge_sessions
-- Removes expired sessions. sessions_by_expiry.
DELETE FROM sessions WHERE expires_at <= $1

-- name: preferences
-- Matrices by user id. Primary key.
SELECT user_id, matrix FROM preferences WHERE user_id = ANY($1::bigint[])

-- name: prefer
-- Replaces a matrix.
INSERT INTO preferences (user_id, matrix) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET matrix = excluded.matrix

-- name: prefer_first
-- A matrix for who has none.
INSERT INTO preferences (user_id, matrix) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: prefer_over
-- Replaces a matrix that is still as it was read. Primary key.
UPDATE preferences SET matrix = $2 WHERE user_id = $1 AND matrix = $3

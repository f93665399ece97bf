-- name: add
-- A new account; the first one becomes admin. Write lock.
INSERT INTO users (id, email, name, role, created_at, password_hash, version)
SELECT ?1, ?2, ?3, iif(EXISTS (SELECT 1 FROM users), ?4, 'admin'), ?5, ?6, ?7

-- name: save
-- Replaces an account of the version before, unless that would leave no admin. Write lock; primary key.
UPDATE users SET name = ?2, role = ?3, password_hash = ?4, version = ?5 WHERE id = ?1 AND version = ?5 - 1
AND (role <> 'admin' OR ?3 = 'admin' OR EXISTS (SELECT 1 FROM users AS u WHERE u.role = 'admin' AND u.id <> ?1))

-- name: version
-- The version of an account. Primary key.
SELECT version FROM users WHERE id = ?

-- name: get
-- Accounts by id (JSON array), as one JSON array. Primary key.
SELECT json_group_array(json_object(
    'user', json_object('id', id, 'email', email, 'name', name, 'role', role, 'created_at', created_at),
    'password_hash', password_hash, 'version', version))
FROM users WHERE id IN (SELECT value FROM json_each(?))

-- name: by_email
-- The account of an email, as get. Unique index.
SELECT json_group_array(json_object(
    'user', json_object('id', id, 'email', email, 'name', name, 'role', role, 'created_at', created_at),
    'password_hash', password_hash, 'version', version))
FROM users WHERE email = ?

-- name: find
-- A page of accounts, as get. Primary key.
SELECT json_group_array(json_object(
    'user', json_object('id', id, 'email', email, 'name', name, 'role', role, 'created_at', created_at),
    'password_hash', password_hash, 'version', version))
FROM (SELECT * FROM users WHERE id > ? ORDER BY id LIMIT ?)

-- name: open_session
-- Write lock.
INSERT INTO sessions (id, user_id, expires_at) VALUES (?, ?, ?)

-- name: session
-- A live session as JSON. Primary key.
SELECT json_object('id', id, 'user_id', user_id, 'expires_at', expires_at)
FROM sessions WHERE id = ? AND expires_at > ?

-- name: close_session
-- Write lock; primary key.
DELETE FROM sessions WHERE id = ?

-- name: other_sessions
-- A user's sessions but one, as one JSON array. sessions_by_user.
SELECT json_group_array(id) FROM sessions WHERE user_id = ? AND id <> ?

-- name: close_others
-- Write lock; sessions_by_user.
DELETE FROM sessions WHERE user_id = ? AND id <> ?

-- name: purge_sessions
-- Removes expired sessions. Write lock; sessions_by_expiry.
DELETE FROM sessions WHERE expires_at <= ?

-- name: preferences
-- Matrices by user id (JSON array), as one JSON array of [user_id, matrix]. Primary key.
SELECT json_group_array(json_array(user_id, json(matrix)))
FROM preferences WHERE user_id IN (SELECT value FROM json_each(?))

-- name: prefer
-- Replaces a matrix. Write lock.
INSERT INTO preferences (user_id, matrix) VALUES (?1, ?2) ON CONFLICT (user_id) DO UPDATE SET matrix = excluded.matrix

-- name: prefer_first
-- A matrix for who has none. Write lock.
INSERT OR IGNORE INTO preferences (user_id, matrix) VALUES (?, ?)

-- name: prefer_over
-- Replaces a matrix that is still as it was read. Write lock; primary key.
UPDATE preferences SET matrix = ?2 WHERE user_id = ?1 AND matrix = ?3

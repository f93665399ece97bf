-- name: park
-- Keeps a letter; the same record of the same pipeline once. Write lock.
INSERT OR IGNORE INTO dead_letters (topic, pipeline, position, key, value, reason, attempts, parked_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: find
-- Letters behind an id. Primary key.
SELECT id, topic, pipeline, position, key, value, reason, attempts, parked_at
FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?

-- name: get
-- One letter. Primary key.
SELECT id, topic, pipeline, position, key, value, reason, attempts, parked_at FROM dead_letters WHERE id = ?

-- name: note
-- Remembers which record a letter was about. Write lock; primary key.
INSERT OR IGNORE INTO letters_gone (topic, pipeline, position)
SELECT topic, pipeline, position FROM dead_letters WHERE id = ?

-- name: drop
-- Write lock; primary key.
DELETE FROM dead_letters WHERE id = ?

-- name: newest
-- The last batch of submissions. log_batches_by_offset.
SELECT body FROM log_batches WHERE topic = ? ORDER BY last_offset DESC LIMIT 1

-- name: leased
-- Up to where ids of tasks were leased. Primary key.
SELECT leased FROM id_leases WHERE name = 'tasks'

-- name: marked
-- When this copy was made, in Unix seconds. Primary key.
SELECT leased FROM id_leases WHERE name = ?

-- name: leap
-- Moves every lease forward. Write lock.
UPDATE id_leases SET leased = leased + ?2 WHERE name <> ?1

-- name: unmark
-- Write lock; primary key.
DELETE FROM id_leases WHERE name = ?

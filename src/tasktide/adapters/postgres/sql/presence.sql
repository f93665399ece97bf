-- name: alone
-- Whether this session has the database for itself; it does until it ends.
SELECT pg_try_advisory_lock(7245917)

-- name: among
-- Whether nobody has the database for itself; until this session ends, nobody can.
SELECT pg_try_advisory_lock_shared(7245917)

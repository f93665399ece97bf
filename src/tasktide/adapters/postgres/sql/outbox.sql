-- name: take
-- The oldest rows, until they hold so many records or bytes; without those that the log has, which are removed. Primary key.
WITH gone AS (
    DELETE FROM outbox WHERE id = ANY($2::bigint[])
)
SELECT id, body FROM (
    SELECT id, body, sum(records) OVER before - records AS records_before,
           sum(octet_length(body)) OVER before - octet_length(body) AS bytes_before
    FROM (SELECT * FROM outbox WHERE id <> ALL($2::bigint[]) ORDER BY id LIMIT $1) AS oldest
    WINDOW before AS (ORDER BY id)
) AS counted WHERE records_before < $1 AND bytes_before < $3 ORDER BY id

-- name: done
-- Removes what the log has: these rows alone, since one with a lower number may have been committed since. Primary key.
DELETE FROM outbox WHERE id = ANY($1::bigint[])

-- name: hold
-- Whether this session is the one that relays; it stays so until it ends.
SELECT pg_try_advisory_lock(7245916)

-- name: release
-- Lets another session relay.
SELECT pg_advisory_unlock(7245916)

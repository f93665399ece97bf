-- name: park
-- Keeps letters, a column each; the same record of the same pipeline once.
INSERT INTO dead_letters (topic, pipeline, position, key, value, reason, attempts, parked_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bytea[], $6::text[], $7::int[], $8::text[])
ON CONFLICT DO NOTHING

-- name: find
-- Letters behind an id. Primary key.
SELECT id, topic, pipeline, position, key, value, reason, attempts, parked_at
FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2

-- name: get
-- One letter. Primary key.
SELECT id, topic, pipeline, position, key, value, reason, attempts, parked_at FROM dead_letters WHERE id = $1

-- name: drop
-- Removes a letter, and remembers which record it was about. Primary key.
WITH gone AS (DELETE FROM dead_letters WHERE id = $1 RETURNING topic, pipeline, position)
INSERT INTO letters_gone (topic, pipeline, position) SELECT topic, pipeline, position FROM gone
ON CONFLICT (topic, pipeline, position) DO UPDATE SET position = excluded.position

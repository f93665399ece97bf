-- name: lock
-- One process at a time names shards or fills the map. Ends with the transaction.
SELECT pg_advisory_xact_lock(7245915)

-- name: name
-- The name that a shard carries.
SELECT name FROM shard_name

-- name: baptize
-- Gives it one.
INSERT INTO shard_name VALUES ($1)

-- name: map
-- The shard of every slot. Primary key.
SELECT slot, shard FROM slot_map ORDER BY slot

-- name: fill
-- The first map, a column each.
INSERT INTO slot_map SELECT n.slot, n.shard, 1 FROM unnest($1::smallint[], $2::text[]) AS n (slot, shard)

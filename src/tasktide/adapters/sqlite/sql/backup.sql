-- name: look
-- Reads anything at all: with its first look the snapshot of a transaction begins.
SELECT count(*) FROM sqlite_master

-- name: mark
-- Says of a copy when it was made, among the leases. Write lock.
INSERT INTO id_leases (name, leased) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET leased = excluded.leased

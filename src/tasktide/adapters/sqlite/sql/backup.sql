-- name: look
-- Reads anything at all: with its first look the snapshot of a transaction begins.
SELECT count(*) FROM sqlite_master

-- The database for users, beside the first shard's.
CREATE DATABASE tasktide;

-- What is accepted and not yet stored: the topic `task.ingested` in a file of its own, whose commits wait for nobody.

CREATE TABLE log_topics (
    topic TEXT PRIMARY KEY,
    last_offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE log_batches (
    topic TEXT NOT NULL,
    last_offset INTEGER NOT NULL,
    records INTEGER NOT NULL,
    appended_at TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX log_batches_by_offset ON log_batches (topic, last_offset);
CREATE INDEX log_batches_by_age ON log_batches (appended_at);

CREATE TABLE log_groups (
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    committed INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
) STRICT, WITHOUT ROWID;

-- Where users want their notifications as HTTP requests, and the key each is signed with.

CREATE TABLE webhooks (
    user_id INTEGER PRIMARY KEY,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

-- Mail goes out in any order; webhooks of one user go out in theirs, and nobody waits for somebody else's.
ALTER TABLE deliveries ADD COLUMN user_id INTEGER NOT NULL DEFAULT 0;
UPDATE deliveries SET user_id = notification ->> 'user_id';
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'waiting' AND channel <> 'webhook';
CREATE INDEX deliveries_calls ON deliveries (user_id, notification_id)
WHERE state = 'waiting' AND channel = 'webhook';
CREATE INDEX deliveries_calls_due ON deliveries (user_id, due_at) WHERE state = 'waiting' AND channel = 'webhook';

-- Which records were dead letters that somebody replayed or dropped: the proof must not ask for their effect. One act of an
-- operator each, so they stay few.
CREATE TABLE letters_gone (
    topic TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (topic, pipeline, position)
) STRICT, WITHOUT ROWID;

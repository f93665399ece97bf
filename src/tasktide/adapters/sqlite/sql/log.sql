-- name: append
-- Adds one batch of records behind the others, unless the topic's end is not where it should be; a trigger moves the end.
-- Write lock; primary key.
INSERT INTO log_batches (topic, last_offset, records, appended_at, body)
SELECT ?1, ?2 + ?3, ?3, ?4, ?5 WHERE ?2 = coalesce((SELECT last_offset FROM log_topics WHERE topic = ?1), 0)

-- name: batch
-- The batch that holds an offset, or the next one behind it. log_batches_by_offset.
SELECT last_offset, records, body FROM log_batches
WHERE topic = ? AND last_offset >= ? ORDER BY last_offset LIMIT 1

-- name: oldest
-- When the first record behind an offset was appended. log_batches_by_offset.
SELECT appended_at FROM log_batches WHERE topic = ? AND last_offset > ? ORDER BY last_offset LIMIT 1

-- name: end
-- The last offset of a topic. Primary key.
SELECT last_offset FROM log_topics WHERE topic = ?

-- name: commit
-- Remembers how far a group is; never moves back. Write lock; primary key.
INSERT INTO log_groups (topic, name, committed) VALUES (?, ?, ?)
ON CONFLICT (topic, name) DO UPDATE SET committed = max(committed, excluded.committed)

-- name: committed
-- How far a group is. Primary key.
SELECT committed FROM log_groups WHERE topic = ? AND name = ?

-- name: trim
-- Forgets old batches that every group of their topic has behind it: the groups known, and those that must read
-- it (JSON array of [topic, group]) even if they never ran. Write lock; log_batches_by_age;
-- at most a thousand at a time.
DELETE FROM log_batches WHERE rowid IN (
    SELECT rowid FROM log_batches AS b
    WHERE b.appended_at < ?1
    AND NOT EXISTS (SELECT 1 FROM log_groups AS g WHERE g.topic = b.topic AND g.committed < b.last_offset)
    AND NOT EXISTS (
        SELECT 1 FROM json_each(?2) AS r
        WHERE r.value ->> 0 = b.topic AND NOT EXISTS (
            SELECT 1 FROM log_groups AS g WHERE g.topic = b.topic AND g.name = (r.value ->> 1)
        )
    )
    ORDER BY b.appended_at LIMIT 1000
)

-- name: forget
-- Removes batches up to an offset. Write lock; log_batches_by_offset.
DELETE FROM log_batches WHERE topic = ? AND last_offset <= ?

-- name: parted
-- Whether tasks were submitted and their topic is not in this file.
SELECT EXISTS (SELECT 1 FROM id_leases WHERE name = 'tasks') AND NOT EXISTS (SELECT 1 FROM log_topics WHERE topic = ?)

-- name: adoptable
-- Whether the attached main file still holds a topic.
SELECT EXISTS (SELECT 1 FROM main_file.log_topics WHERE topic = ?)

-- name: adopt_topic
-- Copies a topic's end. Write lock.
INSERT OR IGNORE INTO main.log_topics SELECT topic, last_offset FROM main_file.log_topics WHERE topic = ?

-- name: adopt_batches
-- Copies a topic's batches; those copied before are left alone. Write lock; log_batches_by_offset.
INSERT OR IGNORE INTO main.log_batches (topic, last_offset, records, appended_at, body)
SELECT topic, last_offset, records, appended_at, body FROM main_file.log_batches WHERE topic = ?

-- name: adopt_groups
-- Copies how far its groups are. Write lock.
INSERT OR IGNORE INTO main.log_groups SELECT topic, name, committed FROM main_file.log_groups WHERE topic = ?

-- name: leave_batches
-- Removes from the main file what was copied. Write lock there.
DELETE FROM main_file.log_batches WHERE topic = ?

-- name: leave_groups
-- As leave_batches.
DELETE FROM main_file.log_groups WHERE topic = ?

-- name: leave_topic
-- As leave_batches, last: until then the copying is repeated.
DELETE FROM main_file.log_topics WHERE topic = ?

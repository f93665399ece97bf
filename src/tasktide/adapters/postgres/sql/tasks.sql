-- name: insert
-- New tasks with their first event, a column each, and their links; known ids, deleted and moved ones are left alone.
-- What is to be said of them goes out before any change of them can.
WITH given AS (
    SELECT * FROM unnest(
        $1::bigint[], $2::int[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]
    ) AS g (id, version, status, priority, creator_id, performer_id, handler, due_key,
            created_at, updated_at, wake_at, remind_at, doc, words, event)
), stored AS (
    INSERT INTO tasks (id, version, status, priority, creator_id, performer_id, handler, due_key,
                       created_at, updated_at, wake_at, remind_at, doc, words)
    SELECT id, version, status, priority, creator_id, performer_id, handler, due_key,
           created_at, updated_at, wake_at, remind_at, doc, words
    FROM given AS g WHERE NOT EXISTS (SELECT 1 FROM task_tombstones AS t WHERE t.id = g.id)
    ON CONFLICT (id) DO NOTHING RETURNING id
), told AS (
    INSERT INTO task_history (task_id, version, event)
    SELECT g.id, g.version, g.event FROM given AS g JOIN stored AS s ON s.id = g.id ON CONFLICT DO NOTHING
), watched AS (
    INSERT INTO task_observers (user_id, task_id)
    SELECT l.user_id, l.task_id FROM unnest($16::bigint[], $17::bigint[]) AS l (user_id, task_id)
    JOIN stored AS s ON s.id = l.task_id ON CONFLICT DO NOTHING
), labelled AS (
    INSERT INTO task_labels (label, task_id)
    SELECT l.label, l.task_id FROM unnest($18::text[], $19::bigint[]) AS l (label, task_id)
    JOIN stored AS s ON s.id = l.task_id ON CONFLICT DO NOTHING
), said AS (
    INSERT INTO outbox (records, body) VALUES ($20, $21)
)
SELECT pg_notify('outbox', ''), (SELECT count(*) FROM stored)

-- name: rebury
-- Removes those of a batch that was stored once more whose deletion, or departure, the insert could not see yet: it was
-- committed after the statement had begun. Whoever is buried does not stand here. Primary keys.
WITH back AS (
    SELECT t.id FROM tasks AS t JOIN task_tombstones AS d ON d.id = t.id WHERE t.id = ANY($1::bigint[]) FOR UPDATE OF t
), unwatched AS (DELETE FROM task_observers WHERE task_id IN (SELECT id FROM back)
), unlabelled AS (DELETE FROM task_labels WHERE task_id IN (SELECT id FROM back)
), untold AS (DELETE FROM task_history WHERE task_id IN (SELECT id FROM back)
)
DELETE FROM tasks WHERE id IN (SELECT id FROM back)

-- name: commit
-- Next states of tasks that still have the expected version, a column each, with their events, links and records.
-- Rows are locked in the order of their ids, so that two batches never wait for each other. What is locked carries all
-- that is written: the planner takes it for one row, and to join it with what was given would compare all with all.
WITH locked AS MATERIALIZED (
    SELECT g.* FROM unnest(
        $1::bigint[], $2::int[], $3::int[], $4::text[], $5::int[], $6::bigint[], $7::text[], $8::text[], $9::text[],
        $10::boolean[], $11::text[], $12::boolean[], $13::text[], $14::text[], $15::text[], $16::text[], $17::boolean[],
        $18::bigint[], $19::int[], $20::bytea[]
    ) WITH ORDINALITY AS g (id, expected, version, status, priority, performer_id, handler, due_key, updated_at,
                            keep_wake, wake_at, keep_remind, remind_at, doc, words, event, leaves,
                            ran_ms, records, body, place)
    JOIN tasks AS t ON t.id = g.id AND t.version = g.expected
    WHERE t.moving < 2 ORDER BY t.id FOR UPDATE OF t
), moved_on AS (
    UPDATE tasks AS t SET
        version = l.version, status = l.status, priority = l.priority, performer_id = l.performer_id,
        handler = l.handler, due_key = l.due_key, updated_at = l.updated_at,
        wake_at = CASE WHEN l.keep_wake THEN t.wake_at ELSE l.wake_at END,
        remind_at = CASE WHEN l.keep_remind THEN t.remind_at ELSE l.remind_at END,
        doc = l.doc, words = l.words, moving = CASE WHEN l.leaves THEN 1 ELSE 0 END
    FROM locked AS l WHERE t.id = l.id
), told AS (
    INSERT INTO task_history (task_id, version, event)
    SELECT id, version, event FROM locked WHERE event IS NOT NULL ON CONFLICT DO NOTHING
), unwatched AS (
    DELETE FROM task_observers AS o USING unnest($21::bigint[], $22::bigint[]) AS n (user_id, task_id)
    WHERE o.user_id = n.user_id AND o.task_id = n.task_id AND o.task_id IN (SELECT id FROM locked)
), watched AS (
    INSERT INTO task_observers (user_id, task_id)
    SELECT n.user_id, n.task_id FROM unnest($23::bigint[], $24::bigint[]) AS n (user_id, task_id)
    JOIN locked AS l ON l.id = n.task_id ON CONFLICT DO NOTHING
), unlabelled AS (
    DELETE FROM task_labels AS o USING unnest($25::text[], $26::bigint[]) AS n (label, task_id)
    WHERE o.label = n.label AND o.task_id = n.task_id AND o.task_id IN (SELECT id FROM locked)
), labelled AS (
    INSERT INTO task_labels (label, task_id)
    SELECT n.label, n.task_id FROM unnest($27::text[], $28::bigint[]) AS n (label, task_id)
    JOIN locked AS l ON l.id = n.task_id ON CONFLICT DO NOTHING
), added AS (
    UPDATE task_totals AS t SET done = t.done + s.done, processing_ms = t.processing_ms + s.ran_ms
    FROM (SELECT count(*) AS done, sum(ran_ms) AS ran_ms FROM locked WHERE ran_ms IS NOT NULL) AS s
    WHERE t.stripe = pg_backend_pid() % 16 AND s.done > 0
), said AS (
    INSERT INTO outbox (records, body) SELECT records, body FROM locked WHERE records > 0 ORDER BY place RETURNING id
), rung AS (
    SELECT pg_notify('outbox', '') FROM (SELECT 1 FROM said LIMIT 1) AS any_said
)
SELECT id, (SELECT count(*) FROM rung) FROM locked

-- name: delete
-- Removes tasks that still have the expected version, with all that hangs on them, and says so.
WITH locked AS MATERIALIZED (
    SELECT g.* FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bytea[])
        WITH ORDINALITY AS g (id, expected, records, body, place)
    JOIN tasks AS t ON t.id = g.id AND t.version = g.expected
    WHERE t.moving < 2 ORDER BY t.id FOR UPDATE OF t
), gone AS (DELETE FROM tasks WHERE id IN (SELECT id FROM locked)
), unwatched AS (DELETE FROM task_observers WHERE task_id IN (SELECT id FROM locked)
), unlabelled AS (DELETE FROM task_labels WHERE task_id IN (SELECT id FROM locked)
), untold AS (DELETE FROM task_history WHERE task_id IN (SELECT id FROM locked)
), buried AS (
    INSERT INTO task_tombstones (id, deleted_at) SELECT id, $5 FROM locked ON CONFLICT DO NOTHING
), said AS (
    INSERT INTO outbox (records, body) SELECT records, body FROM locked WHERE records > 0 ORDER BY place RETURNING id
), rung AS (
    SELECT pg_notify('outbox', '') FROM (SELECT 1 FROM said LIMIT 1) AS any_said
)
SELECT id, (SELECT count(*) FROM rung) FROM locked

-- name: get
-- Tasks by id; one that arrives from another shard is marked. Primary key.
SELECT id, moving, doc FROM tasks WHERE id = ANY($1::bigint[])

-- name: history
-- A task's events behind a version, oldest first. Primary key.
SELECT version, event FROM task_history WHERE task_id = $1 AND version > $2 ORDER BY version LIMIT $3

-- name: alarms
-- Tasks to wake or to remind of, most overdue first. tasks_to_wake, tasks_to_remind.
SELECT t.doc, coalesce(t.wake_at <= $1, false), coalesce(t.remind_at <= $1, false), due.at FROM (
    SELECT id, min(at) AS at FROM (
        (SELECT id, wake_at AS at FROM tasks WHERE wake_at <= $1 AND moving < 2 ORDER BY wake_at LIMIT $2)
        UNION ALL
        (SELECT id, remind_at AS at FROM tasks WHERE remind_at <= $1 AND moving < 2 ORDER BY remind_at LIMIT $2)
    ) AS either GROUP BY id
) AS due JOIN tasks AS t ON t.id = due.id ORDER BY due.at, t.id LIMIT $2

-- name: find
-- A page of a list; conditions and order are put in from the fragments below.
SELECT t.id, t.moving, t.doc FROM tasks AS t WHERE {where} ORDER BY {order} LIMIT :limit

-- name: count
-- How many tasks match.
SELECT count(*) FROM tasks AS t WHERE {where}

-- name: totals
-- The running totals.
SELECT sum(done)::bigint, sum(processing_ms)::bigint FROM task_totals

-- name: where_performer_id
t.performer_id = :performer_id

-- name: where_creator_id
t.creator_id = :creator_id

-- name: where_observer_id
t.id IN (SELECT task_id FROM task_observers WHERE user_id = :observer_id)

-- name: where_statuses
t.status = ANY(:statuses)

-- name: where_handler
t.handler = :handler

-- name: where_job
(t.handler IS NOT NULL) = :job

-- name: where_label
t.id IN (SELECT task_id FROM task_labels WHERE label = :label)

-- name: where_q
t.words ILIKE :q

-- name: where_due_before
t.due_key < :due_before

-- name: where_updated_after
t.updated_at > :updated_after

-- name: after_ascending
(t.{column}, t.id) > (:after_value, :after_id)

-- name: after_descending
(t.{column}, t.id) < (:after_value, :after_id)

-- name: leaving
-- Tasks that are about to move. tasks_moving.
SELECT id FROM tasks WHERE moving = 1 ORDER BY id LIMIT $1

-- name: last_said
-- The version of one that is leaving, and the last row of the outbox by then: what was said of it is not behind that.
SELECT version, (SELECT coalesce(max(id), 0) FROM outbox) FROM tasks WHERE id = $1 AND moving = 1

-- name: is_unsaid
-- Whether the outbox still has something up to a row. Primary key.
SELECT EXISTS (SELECT 1 FROM outbox WHERE id <= $1)

-- name: leave
-- Everything about one that is about to move, held until the transaction ends; nothing if it stays after all, or has
-- been changed since.
SELECT id, version, status, priority, creator_id, performer_id, handler, due_key, created_at, updated_at,
       wake_at, remind_at, doc, words
FROM tasks WHERE id = $1 AND moving = 1 AND version = $2 FOR UPDATE

-- name: links
-- What hangs on a task: its observers, labels and history. task_observers_by_task, task_labels_by_task, primary key.
SELECT
    (SELECT coalesce(array_agg(user_id), '{}') FROM task_observers WHERE task_id = $1),
    (SELECT coalesce(array_agg(label), '{}') FROM task_labels WHERE task_id = $1),
    (SELECT coalesce(array_agg(version ORDER BY version), '{}') FROM task_history WHERE task_id = $1),
    (SELECT coalesce(array_agg(event ORDER BY version), '{}') FROM task_history WHERE task_id = $1)

-- name: arrive
-- Puts one down here, marked as arriving; an earlier try is replaced. Primary key.
INSERT INTO tasks (id, version, status, priority, creator_id, performer_id, handler, due_key, created_at, updated_at,
                   wake_at, remind_at, doc, words, moving)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 2)
ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, status = excluded.status, priority = excluded.priority,
    performer_id = excluded.performer_id, handler = excluded.handler, due_key = excluded.due_key,
    updated_at = excluded.updated_at, wake_at = excluded.wake_at, remind_at = excluded.remind_at,
    doc = excluded.doc, words = excluded.words
WHERE tasks.moving = 2

-- name: unlink
-- Forgets the links of an earlier try, so that they are those of the task as it is now.
WITH unwatched AS (DELETE FROM task_observers WHERE task_id = $1)
DELETE FROM task_labels WHERE task_id = $1

-- name: link
-- As links, put down again.
WITH watched AS (
    INSERT INTO task_observers (user_id, task_id) SELECT unnest($2::bigint[]), $1 ON CONFLICT DO NOTHING
), labelled AS (
    INSERT INTO task_labels (label, task_id) SELECT unnest($3::text[]), $1 ON CONFLICT DO NOTHING
), unburied AS (
    DELETE FROM task_tombstones WHERE id = $1 AND has_moved
)
INSERT INTO task_history (task_id, version, event)
SELECT $1, n.version, n.event FROM unnest($4::int[], $5::text[]) AS n (version, event) ON CONFLICT DO NOTHING

-- name: left
-- Removes one that has been put down elsewhere. Primary keys.
WITH gone AS (DELETE FROM tasks WHERE id = $1
), unwatched AS (DELETE FROM task_observers WHERE task_id = $1
), unlabelled AS (DELETE FROM task_labels WHERE task_id = $1
), untold AS (DELETE FROM task_history WHERE task_id = $1
)
INSERT INTO task_tombstones (id, deleted_at, has_moved) VALUES ($1, $2, true) ON CONFLICT DO NOTHING

-- name: arriving
-- Tasks whose move was not finished. tasks_moving.
SELECT id FROM tasks WHERE moving = 2 ORDER BY id LIMIT $1

-- name: arrived
-- The move is over. Primary key.
UPDATE tasks SET moving = 0 WHERE id = $1 AND moving = 2

-- name: stay
-- It does not move after all: it is where it belongs. Primary key.
UPDATE tasks SET moving = 0 WHERE id = $1

-- name: purge
-- Forgets what was deleted here, or left, long ago. task_tombstones_old.
DELETE FROM task_tombstones WHERE deleted_at < $1

-- name: is_buried
-- Whether a task was deleted here. Primary key.
SELECT EXISTS (SELECT 1 FROM task_tombstones WHERE id = $1 AND NOT has_moved)

-- name: stray
-- One whose move was not finished, held until the transaction ends. Primary key.
SELECT id FROM tasks WHERE id = $1 AND moving = 2 FOR UPDATE

-- name: discard
-- Removes what a move that was broken off left here. Primary keys.
WITH stray AS (SELECT id FROM tasks WHERE id = $1 AND moving = 2 FOR UPDATE
), unwatched AS (DELETE FROM task_observers WHERE task_id IN (SELECT id FROM stray)
), unlabelled AS (DELETE FROM task_labels WHERE task_id IN (SELECT id FROM stray)
), untold AS (DELETE FROM task_history WHERE task_id IN (SELECT id FROM stray)
)
DELETE FROM tasks WHERE id IN (SELECT id FROM stray)

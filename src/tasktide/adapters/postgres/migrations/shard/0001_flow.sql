-- What a shard holds: the tasks and inboxes of its slots, and what they have to say to the log.

CREATE TABLE shard_name (
    name text PRIMARY KEY
);

-- `doc` is the task as events and answers show it; the other columns are what is searched and sorted by.
-- `moving`: 0 at home, 1 about to leave for another shard, 2 arriving from one.
CREATE TABLE tasks (
    id bigint PRIMARY KEY,
    version integer NOT NULL,
    status text NOT NULL,
    priority integer NOT NULL,
    creator_id bigint NOT NULL,
    performer_id bigint,
    handler text,
    due_key text COLLATE "C" NOT NULL,
    created_at text COLLATE "C" NOT NULL,
    updated_at text COLLATE "C" NOT NULL,
    wake_at text COLLATE "C",
    remind_at text COLLATE "C",
    doc text NOT NULL,
    words text NOT NULL,
    moving smallint NOT NULL DEFAULT 0
);
CREATE INDEX tasks_by_created ON tasks (created_at, id);
CREATE INDEX tasks_by_updated ON tasks (updated_at, id);
CREATE INDEX tasks_by_priority ON tasks (priority, id);
CREATE INDEX tasks_by_status ON tasks (status, created_at, id);
CREATE INDEX tasks_by_creator ON tasks (creator_id, created_at, id);
CREATE INDEX tasks_by_performer ON tasks (performer_id, created_at, id) WHERE performer_id IS NOT NULL;
CREATE INDEX tasks_by_handler ON tasks (handler, created_at, id) WHERE handler IS NOT NULL;
CREATE INDEX tasks_by_due ON tasks (due_key, id);
CREATE INDEX tasks_to_wake ON tasks (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX tasks_to_remind ON tasks (remind_at) WHERE remind_at IS NOT NULL;
CREATE INDEX tasks_moving ON tasks (id) WHERE moving > 0;

CREATE TABLE task_observers (
    user_id bigint NOT NULL,
    task_id bigint NOT NULL,
    PRIMARY KEY (user_id, task_id)
);
CREATE INDEX task_observers_by_task ON task_observers (task_id);

CREATE TABLE task_labels (
    label text NOT NULL,
    task_id bigint NOT NULL,
    PRIMARY KEY (label, task_id)
);
CREATE INDEX task_labels_by_task ON task_labels (task_id);

CREATE TABLE task_history (
    task_id bigint NOT NULL,
    version integer NOT NULL,
    event text NOT NULL,
    PRIMARY KEY (task_id, version)
);

-- Ids of tasks that were deleted, or moved to another shard: a submission that is read again must not bring one back.
CREATE TABLE task_tombstones (
    id bigint PRIMARY KEY,
    deleted_at text COLLATE "C" NOT NULL,
    has_moved boolean NOT NULL DEFAULT false
);

-- Running totals, in stripes so that workers do not wait for each other's row.
CREATE TABLE task_totals (
    stripe smallint PRIMARY KEY,
    done bigint NOT NULL,
    processing_ms bigint NOT NULL
);
INSERT INTO task_totals SELECT n, 0, 0 FROM generate_series(0, 15) AS n;

CREATE TABLE notifications (
    id bigint PRIMARY KEY,
    user_id bigint NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    task_id bigint,
    message text NOT NULL,
    created_at text COLLATE "C" NOT NULL,
    read_at text COLLATE "C"
);
CREATE UNIQUE INDEX notifications_by_event ON notifications (user_id, event_id);
CREATE INDEX notifications_by_user ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL;

-- What transactions here have to say, on its way to the log: a row of many records for a batch of new tasks, one of a
-- few for each change. Not compressed: it is read once, a moment later.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    records integer NOT NULL,
    body bytea NOT NULL
);
ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL;

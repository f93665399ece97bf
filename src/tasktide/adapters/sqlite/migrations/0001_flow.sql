-- The whole flow: log, tasks, users, notifications, deliveries, dead letters, remembered replies.
-- Times are RFC 3339 text of fixed width, so comparing text compares time.

CREATE TABLE log_topics (
    topic TEXT PRIMARY KEY,
    last_offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a batch of records, not a record: appending a thousand records writes one row.
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

CREATE TABLE id_leases (
    name TEXT PRIMARY KEY,
    leased INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `doc` is the task as events and answers show it; the other columns are what is searched and sorted by.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    creator_id INTEGER NOT NULL,
    performer_id INTEGER,
    handler TEXT,
    due_key TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    wake_at TEXT,
    remind_at TEXT,
    doc TEXT NOT NULL
) STRICT;
CREATE INDEX tasks_by_created ON tasks (created_at);
CREATE INDEX tasks_by_updated ON tasks (updated_at);
CREATE INDEX tasks_by_priority ON tasks (priority);
CREATE INDEX tasks_by_status ON tasks (status, created_at);
CREATE INDEX tasks_by_creator ON tasks (creator_id, created_at);
CREATE INDEX tasks_by_performer ON tasks (performer_id, created_at) WHERE performer_id IS NOT NULL;
CREATE INDEX tasks_by_handler ON tasks (handler, created_at) WHERE handler IS NOT NULL;
CREATE INDEX tasks_by_due ON tasks (due_key);
CREATE INDEX tasks_to_wake ON tasks (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX tasks_to_remind ON tasks (remind_at) WHERE remind_at IS NOT NULL;

CREATE TABLE task_observers (
    user_id INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    PRIMARY KEY (user_id, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_observers_by_task ON task_observers (task_id);

CREATE TABLE task_labels (
    label TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    PRIMARY KEY (label, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_labels_by_task ON task_labels (task_id);

CREATE TABLE task_history (
    task_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (task_id, version)
) STRICT, WITHOUT ROWID;

-- Ids of deleted tasks: a submission that is read again must not bring one back.
CREATE TABLE task_tombstones (
    id INTEGER PRIMARY KEY,
    deleted_at TEXT NOT NULL
) STRICT;

CREATE TABLE task_totals (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO task_totals (name, value) VALUES ('done', 0), ('processing_ms', 0);

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE preferences (
    user_id INTEGER PRIMARY KEY,
    matrix TEXT NOT NULL
) STRICT;

CREATE TABLE notifications (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    task_id INTEGER,
    message TEXT NOT NULL,
    created_at TEXT NOT NULL,
    read_at TEXT
) STRICT;
CREATE UNIQUE INDEX notifications_by_event ON notifications (user_id, event_id);
CREATE INDEX notifications_by_user ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL;

-- Done deliveries stay for a while: their key is what keeps a repeated batch from sending twice.
CREATE TABLE deliveries (
    notification_id INTEGER NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    due_at TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT,
    notification TEXT NOT NULL,
    PRIMARY KEY (notification_id, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'waiting';

CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    parked_at TEXT NOT NULL,
    UNIQUE (topic, pipeline, position)
) STRICT;

-- `owner` is the process that works on the key; a row whose owner is gone may be taken over.
CREATE TABLE replies (
    key TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    first_id INTEGER NOT NULL,
    owner TEXT,
    expires_at TEXT NOT NULL,
    status INTEGER,
    headers TEXT,
    body BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX replies_by_expiry ON replies (expires_at);

-- Tombstones that nothing can need any more are removed: the log has long forgotten what they hold back.

CREATE INDEX task_tombstones_old ON task_tombstones (deleted_at);

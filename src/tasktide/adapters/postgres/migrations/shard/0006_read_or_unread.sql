-- A notification is in the index of its user's unread ones or in that of the read ones: one entry each, where an index
-- of all beside one of the unread had two. What wants both reads both from the same place on.
-- Inboxes can be read meanwhile.

CREATE INDEX notifications_read ON notifications (user_id, id) WHERE read_at IS NOT NULL;
DROP INDEX notifications_by_user;

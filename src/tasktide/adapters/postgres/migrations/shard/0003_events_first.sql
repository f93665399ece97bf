-- Notifications come in the order of their events. With the event first in the index that knows them they go to its
-- end; with the user first, a batch for five hundred users wrote a page for each. Inboxes can be read meanwhile.

CREATE UNIQUE INDEX notifications_events_first ON notifications (event_id, user_id);
DROP INDEX notifications_by_event;
ALTER INDEX notifications_events_first RENAME TO notifications_by_event;

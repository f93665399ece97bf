-- Notifications come in the order of their events. With the event first in the index that knows them they go to its
-- end; with the user first, a batch for five hundred users wrote a page for each.

DROP INDEX notifications_by_event;
CREATE UNIQUE INDEX notifications_by_event ON notifications (event_id, user_id);

-- Deliveries that went out long ago are removed once a minute; looking for them read all that are kept.

CREATE INDEX deliveries_done ON deliveries (due_at) WHERE state = 'done';

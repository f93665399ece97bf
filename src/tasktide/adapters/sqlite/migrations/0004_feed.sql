-- The pipeline `fanout` made the plans of each event and passed it on to the pages. Plans are made with their event now;
-- what is left of it is called `feed`, and goes on from where it was.

UPDATE OR IGNORE log_groups SET name = 'feed' WHERE topic = 'task.events' AND name = 'fanout';
DELETE FROM log_groups WHERE topic = 'task.events' AND name = 'fanout';
UPDATE OR IGNORE dead_letters SET pipeline = 'feed' WHERE pipeline = 'fanout';

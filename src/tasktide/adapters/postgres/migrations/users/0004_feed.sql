-- The pipeline `fanout` is called `feed`, since the plans of an event are made with it.

UPDATE dead_letters AS l SET pipeline = 'feed' WHERE pipeline = 'fanout' AND NOT EXISTS (
    SELECT 1 FROM dead_letters AS o WHERE o.topic = l.topic AND o.pipeline = 'feed' AND o.position = l.position
);

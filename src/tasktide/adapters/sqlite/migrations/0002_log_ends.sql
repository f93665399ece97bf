-- A batch moves its topic's end by itself: appending is one statement, which can be a transaction of its own.

CREATE TRIGGER log_batches_move_the_end AFTER INSERT ON log_batches BEGIN
    INSERT INTO log_topics (topic, last_offset) VALUES (NEW.topic, NEW.last_offset)
    ON CONFLICT (topic) DO UPDATE SET last_offset = max(last_offset, excluded.last_offset);
END;

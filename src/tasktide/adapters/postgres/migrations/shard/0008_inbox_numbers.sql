-- A shard numbers its notifications itself, from blocks it leases: inserting them is one statement. Whoever takes
-- numbers holds this row until they are committed, so that they grow in the order of commits.

CREATE TABLE notification_numbers (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    last bigint NOT NULL,
    leased bigint NOT NULL
);
INSERT INTO notification_numbers (last, leased) VALUES (0, 0);

-- Who there is, and what is kept once for the whole platform. Times are RFC 3339 text of fixed width, compared
-- byte by byte.

CREATE TABLE id_leases (
    name text PRIMARY KEY,
    leased bigint NOT NULL
);

CREATE TABLE users (
    id bigint PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    role text NOT NULL,
    created_at text COLLATE "C" NOT NULL,
    password_hash text NOT NULL,
    version integer NOT NULL
);

CREATE TABLE sessions (
    id text PRIMARY KEY,
    user_id bigint NOT NULL,
    expires_at text COLLATE "C" NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE preferences (
    user_id bigint PRIMARY KEY,
    matrix text NOT NULL
);

-- Done deliveries stay for a while: their key is what keeps a repeated batch from sending twice.
CREATE TABLE deliveries (
    notification_id bigint NOT NULL,
    channel text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    due_at text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    error text,
    notification text NOT NULL,
    PRIMARY KEY (notification_id, channel)
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'waiting';

CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    pipeline text NOT NULL,
    position bigint NOT NULL,
    key text NOT NULL,
    value bytea NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    parked_at text COLLATE "C" NOT NULL,
    UNIQUE (topic, pipeline, position)
);

-- `owner` is the process that works on the key, until `owned_until`; then it may be taken over.
CREATE TABLE replies (
    key text PRIMARY KEY,
    digest bytea NOT NULL,
    first_id bigint NOT NULL,
    owner text,
    owned_until text COLLATE "C",
    expires_at text COLLATE "C" NOT NULL,
    status integer,
    headers text,
    body bytea
);
CREATE INDEX replies_by_expiry ON replies (expires_at);

-- Which shard holds a slot. The version grows with every change of the map.
CREATE TABLE slot_map (
    slot smallint PRIMARY KEY,
    shard text NOT NULL,
    version bigint NOT NULL
);

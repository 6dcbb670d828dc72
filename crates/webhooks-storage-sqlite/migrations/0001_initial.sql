-- Version 1: everything.
--
-- Compatible from version 1: code that knows this version runs on the schema.
--
-- Times are whole milliseconds since the Unix epoch. Ids of events and deliveries are the 16 bytes
-- of their UUIDs, whose order is that of the time at which they were made.

CREATE TABLE webhook_migrations (
    version         INTEGER PRIMARY KEY,
    -- The oldest version of the schema whose code still runs on this one.
    compatible_from INTEGER NOT NULL,
    applied_at      INTEGER NOT NULL
) STRICT;
INSERT INTO webhook_migrations (version, compatible_from, applied_at)
    VALUES (1, 1, CAST(unixepoch('subsec') * 1000 AS INTEGER));

-- Numbers that are never given twice, in one row.
CREATE TABLE webhook_meta (
    only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Of the last change of any endpoint, and of the last change of any definition.
    revision     INTEGER NOT NULL,
    definitions  INTEGER NOT NULL,
    incarnations INTEGER NOT NULL,
    -- Of the row that was made last, of deliveries and replays, and of events.
    place        INTEGER NOT NULL,
    event        INTEGER NOT NULL,
    endpoint     INTEGER NOT NULL,
    document     INTEGER NOT NULL
) STRICT;
INSERT INTO webhook_meta VALUES (1, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE webhook_endpoints (
    seq                 INTEGER PRIMARY KEY,
    id                  TEXT NOT NULL UNIQUE,
    -- The definition as JSON. `enabled` and the credentials are in columns of their own: gates move
    -- the one, and a new encryption key the others.
    definition          TEXT NOT NULL,
    enabled             INTEGER NOT NULL,
    secret              TEXT NOT NULL,
    headers             TEXT NOT NULL,
    previous_secrets    TEXT NOT NULL,
    tenant              TEXT,
    -- The gate: what lets deliveries through, besides `enabled`.
    paused              INTEGER NOT NULL DEFAULT 0,
    disabled_by         TEXT,
    held_until          INTEGER,
    max_leased          INTEGER,
    failing_since       INTEGER,
    gate_epoch          INTEGER NOT NULL DEFAULT 0,
    revision            INTEGER NOT NULL UNIQUE,
    definition_revision INTEGER NOT NULL,
    -- Which endpoint of this id it is.
    incarnation         INTEGER NOT NULL,
    -- Deliveries may wait that are of an earlier incarnation or of a deleted endpoint.
    stranded            INTEGER NOT NULL DEFAULT 0,
    deleted_at          INTEGER,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_webhook_endpoints_deleted ON webhook_endpoints (deleted_at)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX idx_webhook_endpoints_stranded ON webhook_endpoints (seq) WHERE stranded = 1;

-- What a claim looks at of an endpoint, and its counts. That of endpoint 0 has the totals of those
-- that are forgotten.
CREATE TABLE webhook_lanes (
    endpoint    INTEGER PRIMARY KEY,
    incarnation INTEGER NOT NULL,
    -- Enabled, not paused and not deleted.
    open        INTEGER NOT NULL,
    held_until  INTEGER,
    max_leased  INTEGER,
    -- Of an endpoint that batches.
    batch_events INTEGER,
    batch_wait   INTEGER,
    -- The rate limit that it has of its own, in requests a second, and when its bucket will be full
    -- but for one token, in nanoseconds since the epoch.
    rate        INTEGER,
    burst       INTEGER,
    full_at     INTEGER NOT NULL DEFAULT 0,
    enqueued    INTEGER NOT NULL DEFAULT 0,
    delivered   INTEGER NOT NULL DEFAULT 0,
    dead        INTEGER NOT NULL DEFAULT 0,
    cancelled   INTEGER NOT NULL DEFAULT 0,
    purged      INTEGER NOT NULL DEFAULT 0,
    blocked     INTEGER NOT NULL DEFAULT 0,
    ready       INTEGER NOT NULL DEFAULT 0,
    scheduled   INTEGER NOT NULL DEFAULT 0,
    leased      INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO webhook_lanes (endpoint, incarnation, open) VALUES (0, 0, 0);
-- A claim walks it in turn and meets no closed and no idle endpoint.
CREATE INDEX idx_webhook_lanes_claimable ON webhook_lanes (endpoint) WHERE open = 1 AND ready > 0;

CREATE TABLE webhook_events (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    event_type   TEXT NOT NULL,
    tenant       TEXT,
    ordering_key TEXT,
    trace_parent TEXT,
    trace_state  TEXT,
    created_at   INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    max_retries  INTEGER NOT NULL,
    -- The bytes that are sent, once for all deliveries; NULL once they were erased. The last column:
    -- who reads the others does not read what it spills into further pages.
    payload      BLOB
) STRICT;
-- Events without deliveries, which a sweep drops by age.
CREATE TABLE webhook_bare_events (
    event      INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_webhook_bare_events_age ON webhook_bare_events (created_at);

-- Every delivery, in whatever state: 0 blocked, 1 ready, 2 scheduled, 3 leased, 4 delivered, 5 dead,
-- 6 cancelled. A change of state happens in place.
CREATE TABLE webhook_queue (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    event        INTEGER NOT NULL,
    endpoint     INTEGER NOT NULL,
    incarnation  INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    -- Its turn among the ready ones: when it was sent minus ten minutes per level, then the place.
    sort_key     INTEGER NOT NULL,
    place        INTEGER NOT NULL,
    sent_at      INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    token        INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    max_retries  INTEGER NOT NULL,
    crashes      INTEGER NOT NULL,
    worker       INTEGER,
    -- Why it is dead or cancelled.
    reason       TEXT,
    by_name      INTEGER NOT NULL,
    last_status  INTEGER,
    last_failure TEXT,
    order_key    TEXT,
    -- Whether those behind it in its order wait when it dies.
    holds        INTEGER NOT NULL,
    -- It stands in its order and has not left it.
    in_line      INTEGER NOT NULL,
    erased       INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_webhook_queue_ready ON webhook_queue (endpoint, sort_key, place)
    WHERE state = 1 AND crashes < 2;
-- Poison suspects, whose workers died twice: they come one at a time. Almost always empty.
CREATE INDEX idx_webhook_queue_suspect ON webhook_queue (endpoint, sort_key, place)
    WHERE state = 1 AND crashes >= 2;
CREATE INDEX idx_webhook_queue_due ON webhook_queue (due_at, place) WHERE state = 2;
CREATE INDEX idx_webhook_queue_leased ON webhook_queue (worker, id) WHERE state = 3;
CREATE INDEX idx_webhook_queue_blocked ON webhook_queue (max(sent_at, due_at)) WHERE state = 0;
CREATE INDEX idx_webhook_queue_line ON webhook_queue (endpoint, incarnation, order_key, place)
    WHERE in_line = 1;
CREATE INDEX idx_webhook_queue_ended ON webhook_queue (updated_at) WHERE state IN (4, 6);
CREATE INDEX idx_webhook_queue_dead_age ON webhook_queue (updated_at) WHERE state = 5;
CREATE INDEX idx_webhook_queue_dead ON webhook_queue (id) WHERE state = 5;
CREATE INDEX idx_webhook_queue_event ON webhook_queue (event);
CREATE INDEX idx_webhook_queue_endpoint ON webhook_queue (endpoint, id);

-- The log of attempts. A line goes with its delivery at the latest.
CREATE TABLE webhook_attempts (
    seq         INTEGER PRIMARY KEY,
    delivery    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    status      INTEGER,
    failure     TEXT,
    ambiguous   INTEGER NOT NULL,
    headers     TEXT,
    response    BLOB
) STRICT;
CREATE INDEX idx_webhook_attempts_delivery ON webhook_attempts (delivery);

CREATE TABLE webhook_workers (
    seq        INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    -- The last sign of life: a beat, or the first lease of one that has not beaten.
    seen_at    INTEGER NOT NULL,
    has_beaten INTEGER NOT NULL,
    -- It was given up for dead and has not heard of it.
    given_up   INTEGER NOT NULL
) STRICT;

CREATE TABLE webhook_idempotency (
    -- SHA-256 over tenant and key: of fixed length, and it tells nothing of what was sent.
    key          BLOB PRIMARY KEY,
    event_id     BLOB NOT NULL,
    fingerprint  BLOB,
    -- 16 bytes each.
    delivery_ids BLOB NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_webhook_idempotency_age ON webhook_idempotency (expires_at);

-- Events for more endpoints than one commit is to store, of which some have their deliveries: those
-- up to `up_to`, by id. Any process goes on with one that nobody has moved for a while.
CREATE TABLE webhook_fan_outs (
    event           INTEGER PRIMARY KEY,
    idempotency_key TEXT,
    fingerprint     BLOB,
    keep            INTEGER NOT NULL,
    up_to           TEXT NOT NULL,
    moved_at        INTEGER NOT NULL
) STRICT;

-- Numbers over time: of minutes (0) and hours (1).
CREATE TABLE webhook_stats (
    resolution INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    endpoint   TEXT NOT NULL,
    -- A JSON list.
    numbers    TEXT NOT NULL,
    PRIMARY KEY (resolution, at, endpoint)
) STRICT, WITHOUT ROWID;

-- Small texts of a server around the system.
CREATE TABLE webhook_documents (
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    value      TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_webhook_documents_expiry ON webhook_documents (expires_at)
    WHERE expires_at IS NOT NULL;

-- Events that were sent inside somebody's transaction and are not matched to endpoints yet.
CREATE TABLE webhook_outbox (
    seq             INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    event_type      TEXT NOT NULL,
    data            TEXT NOT NULL,
    tenant          TEXT,
    idempotency_key TEXT,
    ordering_key    TEXT,
    trace_parent    TEXT,
    trace_state     TEXT,
    priority        INTEGER NOT NULL,
    max_retries     INTEGER,
    created_at      INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,
    -- Set when it was refused for good, with the reason, so that those behind it go on. It is tried
    -- again ten minutes later, in case the cause was mended.
    refused_at      INTEGER,
    reason          TEXT
) STRICT;
CREATE INDEX idx_webhook_outbox_open ON webhook_outbox (seq) WHERE refused_at IS NULL;
CREATE INDEX idx_webhook_outbox_refused ON webhook_outbox (refused_at) WHERE refused_at IS NOT NULL;

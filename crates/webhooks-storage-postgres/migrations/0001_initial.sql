-- Version 1: everything.
--
-- Compatible from version 1: code that knows this version runs on the schema.
--
-- By hand:  psql -1 -v ON_ERROR_STOP=1 -c 'SET search_path = my_schema' -f 0001_initial.sql
-- The tables are made in the first schema of the search path.

CREATE TABLE IF NOT EXISTS webhook_migrations (
    version         integer PRIMARY KEY,
    -- The oldest version of the schema whose code still runs on this one.
    compatible_from integer NOT NULL,
    applied_at      timestamptz NOT NULL DEFAULT now()
);
INSERT INTO webhook_migrations (version, compatible_from) VALUES (1, 1);

-- One row, which every change of an endpoint locks first: changes commit in the order of their
-- numbers, so that a reader of later ones misses none. A sequence would not give that.
CREATE TABLE webhook_revision (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision    bigint NOT NULL,
    -- That of the last change of a definition, deletions included: gates do not move it.
    definitions bigint NOT NULL
);
INSERT INTO webhook_revision (revision, definitions) VALUES (0, 0);

CREATE TABLE webhook_endpoints (
    id               text COLLATE "C" PRIMARY KEY,
    url              text NOT NULL,
    secret           text NOT NULL,
    events           jsonb NOT NULL,
    -- As it was given, to the letter: jsonb would write its numbers in another way.
    filter           json,
    enabled          boolean NOT NULL,
    rate_limit_rps   integer,
    rate_limit_burst integer,
    headers          jsonb NOT NULL,
    timeout_seconds  bigint NOT NULL,
    tenant           text,
    batch            jsonb,
    signature        text NOT NULL,
    previous_secrets jsonb NOT NULL,
    content_type     text,
    user_agent       text,
    accepted_statuses jsonb NOT NULL DEFAULT '[]',
    ordering         text NOT NULL DEFAULT 'none' CHECK (ordering IN ('none', 'key', 'all')),
    on_dead          text NOT NULL DEFAULT 'continue' CHECK (on_dead IN ('continue', 'hold')),
    description      text NOT NULL DEFAULT '',
    metadata         jsonb NOT NULL DEFAULT '{}',
    -- The gate: what lets deliveries through, besides `enabled`.
    paused           boolean NOT NULL DEFAULT false,
    disabled_by      text CHECK (disabled_by IN ('operator', 'gone', 'failing', 'unverified')),
    held_until       timestamptz,
    max_leased       integer,
    failing_since    timestamptz,
    gate_epoch       bigint NOT NULL DEFAULT 0,
    revision         bigint NOT NULL,
    -- The revision of the last change of the definition, which gates do not move.
    definition_revision bigint NOT NULL,
    -- Which endpoint of this id it is: the revision at which it was registered, or got its tenant.
    incarnation      bigint NOT NULL,
    -- Deliveries of an earlier incarnation may wait, and are to be cancelled.
    is_replaced      boolean NOT NULL DEFAULT false,
    deleted_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
-- Not unique, though revisions are: an update of a column of a unique index takes the lock of a
-- deletion, and changes of gates would then wait for, and deadlock with, everyone who stores
-- deliveries of the endpoint.
CREATE INDEX idx_webhook_endpoints_revision ON webhook_endpoints (revision);
CREATE INDEX idx_webhook_endpoints_held ON webhook_endpoints (held_until)
    WHERE held_until IS NOT NULL;
CREATE INDEX idx_webhook_endpoints_deleted ON webhook_endpoints (deleted_at)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX idx_webhook_endpoints_replaced ON webhook_endpoints (id) WHERE is_replaced;

-- Written by claims of endpoints with a limit, and so kept apart from their definitions.
CREATE TABLE webhook_pace (
    endpoint_id text COLLATE "C" PRIMARY KEY REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    -- The theoretical arrival time of GCRA, in nanoseconds since the Unix epoch.
    arrival     bigint NOT NULL DEFAULT 0,
    -- Grows with every claim: a claim that counted leases before another one committed gives way.
    claims      bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Each event once, for all of its deliveries: as long as one of them or a fan-out is there, and until
-- its own retention is over.
CREATE TABLE webhook_events (
    id            uuid PRIMARY KEY,
    created_at    timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    max_retries   integer NOT NULL,
    payload_bytes integer NOT NULL,
    priority      smallint NOT NULL,
    event_type    text NOT NULL,
    tenant        text,
    ordering_key  text,
    traceparent   text,
    tracestate    text,
    -- The bytes that are sent. JSON keeps them as they are; NULL once they were erased.
    payload       json
);
-- For listings and erasures of one tenant, newest first. What has no tenant costs nothing here. In the
-- form of bytes, whose order is the same, but which the primary key does not give: the planner would
-- walk that instead, past all rows of others, where there are few tenants.
CREATE INDEX idx_webhook_events_tenant ON webhook_events (tenant, uuid_send(id))
    WHERE tenant IS NOT NULL;

-- What waits, what is leased and what is dead. What is delivered or cancelled leaves it.
CREATE TABLE webhook_queue (
    id            uuid PRIMARY KEY,
    endpoint_id   text COLLATE "C" NOT NULL REFERENCES webhook_endpoints (id),
    event_id      uuid NOT NULL,
    -- The place among rows with the same sort_key, and in its order.
    seq           bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    -- When it was sent minus ten minutes per level of priority, in milliseconds.
    sort_key      bigint NOT NULL,
    token         bigint NOT NULL,
    -- Of the endpoint that it is for.
    incarnation   bigint NOT NULL,
    created_at    timestamptz NOT NULL,
    -- When it was sent or replayed: retention counts from here.
    queued_at     timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    next_retry_at timestamptz NOT NULL,
    attempts      integer NOT NULL,
    max_retries   integer NOT NULL,
    crashes       smallint NOT NULL DEFAULT 0,
    priority      smallint NOT NULL,
    last_status   smallint,
    -- Of what is pending: its time has come. A claim makes it so before it looks.
    is_ready      boolean NOT NULL,
    -- It was sent to this endpoint by name, whatever its filters say.
    by_name       boolean NOT NULL,
    -- Its id begins with another millisecond than that of its event, so that it is not found beside it.
    is_apart      boolean NOT NULL DEFAULT false,
    -- It has nothing to send any more, though its event may have.
    is_erased     boolean NOT NULL DEFAULT false,
    -- It stands in the order `order_key`: it has not ended, or is dead and holds those behind it.
    in_line       boolean NOT NULL DEFAULT false,
    -- Whether it holds its order when it is given up.
    holds         boolean NOT NULL DEFAULT false,
    status        text NOT NULL CHECK (status IN ('pending', 'blocked', 'processing', 'dead')),
    event_type    text NOT NULL,
    tenant        text,
    worker        text,
    dead_reason   text,
    last_failure  text,
    order_key     text COLLATE "C",
    -- Always NULL: the bytes are in `webhook_events`, once.
    payload       json CHECK (payload IS NULL)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 1000
);
CREATE INDEX idx_webhook_queue_status ON webhook_queue (endpoint_id, sort_key, seq)
    WHERE status = 'pending' AND is_ready;
-- Poison suspects, whose workers died twice: they come one at a time. Almost always empty.
CREATE INDEX idx_webhook_queue_suspect ON webhook_queue (sort_key, seq)
    WHERE status = 'pending' AND is_ready AND crashes >= 2;
CREATE INDEX idx_webhook_queue_next_retry ON webhook_queue (next_retry_at)
    WHERE status = 'pending' AND NOT is_ready;
CREATE INDEX idx_webhook_queue_scheduled ON webhook_queue (endpoint_id)
    WHERE status = 'pending' AND NOT is_ready;
CREATE INDEX idx_webhook_queue_leased ON webhook_queue (endpoint_id, worker)
    WHERE status = 'processing';
CREATE INDEX idx_webhook_queue_dead ON webhook_queue (endpoint_id, id)
    WHERE status = 'dead';
CREATE INDEX idx_webhook_queue_dead_age ON webhook_queue (updated_at)
    WHERE status = 'dead';
-- The orders: the first of each is its head, and the others of it are blocked.
CREATE INDEX idx_webhook_queue_order ON webhook_queue (endpoint_id, order_key, seq) WHERE in_line;
CREATE INDEX idx_webhook_queue_blocked_age ON webhook_queue (queued_at) WHERE status = 'blocked';
-- The deliveries of an event are found by the millisecond that their ids share with its id; these are
-- the others. Almost always empty.
CREATE INDEX idx_webhook_queue_apart ON webhook_queue (event_id) WHERE is_apart;
CREATE INDEX idx_webhook_queue_tenant ON webhook_queue (tenant, uuid_send(id))
    WHERE tenant IS NOT NULL;

-- What was delivered or cancelled, until its retention is over. What is the same for all deliveries of
-- an event is in `webhook_events` alone.
CREATE TABLE webhook_archive (
    id            uuid PRIMARY KEY,
    event_id      uuid NOT NULL,
    token         bigint NOT NULL,
    incarnation   bigint NOT NULL,
    updated_at    timestamptz NOT NULL,
    next_retry_at timestamptz NOT NULL,
    -- The attempt that ended it, if one did: it is in no other table.
    started_at    timestamptz,
    duration_us   bigint,
    number        integer,
    attempts      integer NOT NULL,
    crashes       smallint NOT NULL,
    last_status   smallint,
    by_name       boolean NOT NULL,
    is_apart      boolean NOT NULL,
    is_erased     boolean NOT NULL,
    holds         boolean NOT NULL,
    endpoint_id   text COLLATE "C" NOT NULL,
    status        text NOT NULL CHECK (status IN ('delivered', 'cancelled')),
    tenant        text,
    cancel_reason text,
    last_failure  text,
    order_key     text COLLATE "C",
    response      bytea,
    response_headers json
);
CREATE INDEX idx_webhook_archive_endpoint ON webhook_archive (endpoint_id, id);
CREATE INDEX idx_webhook_archive_apart ON webhook_archive (event_id) WHERE is_apart;
CREATE INDEX idx_webhook_archive_tenant ON webhook_archive (tenant, uuid_send(id))
    WHERE tenant IS NOT NULL;
CREATE INDEX idx_webhook_archive_age ON webhook_archive (updated_at);

-- Who stores into an order, or ends the head of one, holds the lock of its row here until the commit.
-- The keys of an endpoint share 64 rows, which are never written: a row per key would leave versions
-- behind, and somebody would have to drop it.
CREATE TABLE webhook_orders (
    endpoint_id text COLLATE "C" NOT NULL,
    part        integer NOT NULL,
    PRIMARY KEY (endpoint_id, part)
);

-- The log of attempts, but for those that are in `webhook_archive`. Only ever inserted and deleted.
CREATE TABLE webhook_attempts (
    seq         bigint NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 100),
    delivery_id uuid NOT NULL,
    token       bigint NOT NULL,
    started_at  timestamptz NOT NULL,
    duration_us bigint NOT NULL,
    number      integer NOT NULL,
    status      smallint,
    ambiguous   boolean NOT NULL,
    failure     text,
    response    bytea NOT NULL,
    -- As [["name", "value"], ..], or NULL for none.
    response_headers json
);
CREATE INDEX idx_webhook_attempts_delivery ON webhook_attempts (delivery_id);
CREATE INDEX idx_webhook_attempts_age ON webhook_attempts (started_at);

-- Totals of what ended. Totals of what waits are counted where it waits. Those of forgotten
-- endpoints are under the empty id.
CREATE TABLE webhook_totals (
    endpoint_id text COLLATE "C" PRIMARY KEY,
    delivered   bigint NOT NULL,
    dead        bigint NOT NULL,
    cancelled   bigint NOT NULL,
    purged      bigint NOT NULL
);
-- What came to the totals since a sweep folded them. Every settlement adds rows, instead of writing
-- one row again and again: beside a long transaction of somebody else, of which all its versions
-- are kept, each write of such a row would walk through all of them.
CREATE TABLE webhook_totals_added (
    endpoint_id text COLLATE "C" NOT NULL,
    delivered   bigint NOT NULL DEFAULT 0,
    dead        bigint NOT NULL DEFAULT 0,
    cancelled   bigint NOT NULL DEFAULT 0,
    purged      bigint NOT NULL DEFAULT 0
);

CREATE TABLE webhook_workers (
    id          text COLLATE "C" PRIMARY KEY,
    -- The last sign of life, and the one before it.
    seen_at     timestamptz NOT NULL,
    seen_before timestamptz,
    -- Its deliveries were taken back since its last beat; and before its last beat.
    given_up    boolean NOT NULL DEFAULT false,
    was_lost    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

CREATE TABLE webhook_idempotency (
    -- SHA-256 over tenant and key: of fixed length, and it tells nothing of what was sent.
    key          bytea PRIMARY KEY,
    event_id     uuid NOT NULL,
    delivery_ids uuid[] NOT NULL,
    expires_at   timestamptz NOT NULL,
    -- What the key stands for, if that was told.
    fingerprint  bytea
);
CREATE INDEX idx_webhook_idempotency_age ON webhook_idempotency (expires_at);

-- Events that were sent inside somebody's transaction and are not matched to endpoints yet.
CREATE TABLE webhook_outbox (
    id              uuid PRIMARY KEY,
    event_type      text NOT NULL CHECK (
        char_length(event_type) <= 256 AND event_type ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$'),
    data            json NOT NULL CHECK (octet_length(data::text) <= 16777216),
    tenant          text CHECK (octet_length(tenant) BETWEEN 1 AND 256),
    idempotency_key text CHECK (octet_length(idempotency_key) BETWEEN 1 AND 256),
    priority        smallint NOT NULL CHECK (priority BETWEEN 0 AND 3),
    max_retries     integer CHECK (max_retries BETWEEN 0 AND 1000),
    created_at      timestamptz NOT NULL CHECK (created_at >= '1970-01-01 00:00+00'),
    due_at          timestamptz NOT NULL,
    ordering_key    text CHECK (octet_length(ordering_key) BETWEEN 1 AND 256),
    traceparent     text,
    tracestate      text,
    CHECK (greatest(created_at, due_at) < '10000-01-01 00:00+00' AND due_at >= created_at)
);

-- Events of the outbox that were refused for good, with the reason, so that those behind them go on.
-- Those of ten minutes ago are put back, in case the cause was mended.
CREATE TABLE webhook_outbox_refused (
    id              uuid PRIMARY KEY,
    event_type      text NOT NULL,
    data            json NOT NULL,
    tenant          text,
    idempotency_key text,
    priority        smallint NOT NULL,
    max_retries     integer,
    created_at      timestamptz NOT NULL,
    due_at          timestamptz NOT NULL,
    ordering_key    text,
    traceparent     text,
    tracestate      text,
    refused_at      timestamptz NOT NULL,
    reason          text NOT NULL
);

CREATE INDEX idx_webhook_outbox_refused ON webhook_outbox_refused (refused_at);

-- Events for more endpoints than one commit is to store, of which some have their deliveries: those up
-- to `up_to`, by id. Any node goes on with one that nobody has moved for a while.
CREATE TABLE webhook_fan_outs (
    event_id        uuid PRIMARY KEY,
    idempotency_key text,
    moved_at        timestamptz NOT NULL,
    up_to           text COLLATE "C" NOT NULL
);

-- Numbers over time, in the order of webhooks-core: of minutes (60) and of hours (3600).
CREATE TABLE webhook_stats (
    seconds     integer NOT NULL,
    at          timestamptz NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    numbers     bigint[] NOT NULL,
    PRIMARY KEY (seconds, at, endpoint_id)
) WITH (fillfactor = 70);

-- Small texts of a server around the system. One counter numbers the changes of all of them.
CREATE TABLE webhook_documents (
    kind       text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    revision   bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    expires_at timestamptz,
    value      text NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX idx_webhook_documents_age ON webhook_documents (expires_at)
    WHERE expires_at IS NOT NULL;

-- For operators: all deliveries, each with its event.
CREATE VIEW webhook_deliveries AS
SELECT q.id, q.endpoint_id, q.event_id, q.state, e.event_type, e.tenant, e.priority, q.attempts,
    e.max_retries, q.crashes, q.order_key, q.reason, q.last_status, q.last_failure, q.worker,
    e.created_at, q.due_at, q.updated_at, e.payload_bytes,
    CASE WHEN NOT q.is_erased THEN e.payload END AS payload
FROM (
    SELECT id, endpoint_id, event_id, attempts, crashes, order_key, dead_reason AS reason, last_status,
        last_failure, worker, next_retry_at AS due_at, updated_at, is_erased,
        CASE status WHEN 'pending' THEN CASE WHEN is_ready THEN 'ready' ELSE 'scheduled' END
            WHEN 'processing' THEN 'leased' ELSE status END AS state
    FROM webhook_queue
    UNION ALL
    SELECT id, endpoint_id, event_id, attempts, crashes, order_key, cancel_reason, last_status,
        last_failure, NULL, next_retry_at, updated_at, is_erased, status
    FROM webhook_archive
) q JOIN webhook_events e ON e.id = q.event_id;

-- The first and the last id that begin with the millisecond of this one, as those of the deliveries of
-- an event do.
CREATE FUNCTION webhook_first_id(id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (left(id::text, 13) || '-0000-0000-000000000000')::uuid
$$;
CREATE FUNCTION webhook_last_id(id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (left(id::text, 13) || '-ffff-ffff-ffffffffffff')::uuid
$$;

-- The row of `webhook_orders` that stands for an order.
CREATE FUNCTION webhook_order_part(key text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtext(key) & 63 $$;

-- The head of an order has ended: the next one becomes the head, in the same commit. By a trigger, so
-- that it happens whatever statement ended it.
CREATE FUNCTION webhook_next_in_order() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    ended_at timestamptz := to_timestamp(
        nullif(current_setting('webhooks.now_ms', true), '')::numeric / 1000);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        ended_at := NEW.updated_at;
    END IF;
    ended_at := coalesce(ended_at, date_trunc('milliseconds', clock_timestamp()));
    INSERT INTO webhook_orders AS o (endpoint_id, part)
    VALUES (OLD.endpoint_id, webhook_order_part(OLD.order_key))
    ON CONFLICT (endpoint_id, part) DO UPDATE SET part = o.part WHERE false;
    -- A statement of its own, which sees what was stored by whoever held the lock before. Those in
    -- front of the head have ended, so that their entries in the index are not walked again.
    UPDATE webhook_queue q SET
        status = 'pending', is_ready = next_retry_at <= ended_at, updated_at = ended_at
    WHERE q.status = 'blocked' AND q.id = (
        SELECT b.id FROM webhook_queue b
        WHERE b.in_line AND b.endpoint_id = OLD.endpoint_id AND b.order_key = OLD.order_key
            AND b.incarnation = OLD.incarnation AND b.seq > OLD.seq AND b.status = 'blocked'
        ORDER BY b.seq LIMIT 1 FOR UPDATE);
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_head_ended AFTER UPDATE ON webhook_queue
    FOR EACH ROW WHEN (OLD.in_line AND NOT NEW.in_line AND OLD.status <> 'blocked')
    EXECUTE FUNCTION webhook_next_in_order();
CREATE TRIGGER webhook_head_gone AFTER DELETE ON webhook_queue
    FOR EACH ROW WHEN (OLD.in_line AND OLD.status <> 'blocked')
    EXECUTE FUNCTION webhook_next_in_order();

-- The rule of a name that this one breaks, if it breaks one; as in webhooks-core.
CREATE FUNCTION webhook_name_problem(field text, name text) RETURNS text
LANGUAGE sql IMMUTABLE SET standard_conforming_strings = on AS $$
    SELECT CASE
        WHEN octet_length(name) NOT BETWEEN 1 AND 256
            THEN field || ' has ' || octet_length(name) || ' bytes, it needs 1 to 256'
        -- Not [[:cntrl:]], which depends on the locale.
        WHEN name ~ '[\u0001-\u001f\u007f-\u009f]' THEN field || ' holds a control character'
    END
$$;

-- The rule of a sent event's type that this one breaks, if it breaks one; as in webhooks-core.
CREATE FUNCTION webhook_event_type_problem(event text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    -- No backslash: what it means depends on the caller's standard_conforming_strings.
    SELECT 'event type ' || CASE
        WHEN event IN ('webhook.batch', 'webhook.ping') THEN event || ' is the system''s own'
        WHEN event = '' THEN 'is empty, it needs 1 to 256 characters'
        WHEN char_length(event) > 256 THEN 'is ' || char_length(event) || ' characters, at most 256'
        WHEN '.' || event || '.' LIKE '%..%'
            THEN 'has an empty segment; single dots join its segments'
        WHEN event ~ '[^A-Za-z0-9_.-]'
            THEN 'holds ''' || substring(event FROM '[^A-Za-z0-9_.-]')
                || '''; its segments hold A-Z a-z 0-9 _ -'
    END
$$;

-- The rule of an event's data that this one breaks, if it breaks one; as in webhooks-core.
CREATE FUNCTION webhook_data_problem(data text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET standard_conforming_strings = on AS $$
DECLARE
    -- What is escaped is neither the beginning of another escape nor the end of a string then.
    plain text := replace(data, '\\', '__');
    pair  text := '\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}';
BEGIN
    IF plain ~ '\\u[dD][89a-fA-F]'
        AND regexp_replace(plain, pair, '_', 'g') ~ '\\u[dD][89a-fA-F]' THEN
        RETURN 'data holds half of a surrogate pair, which is no unicode text';
    END IF;
    IF length(data) - length(translate(data, '[{', '')) <= 100 THEN
        RETURN NULL;
    END IF;
    -- The brackets outside strings, all of one kind. Each turn takes the innermost level away.
    plain := regexp_replace(replace(plain, '\"', '__'), '"[^"]*"', '', 'g');
    plain := translate(regexp_replace(plain, '[^][{}]+', '', 'g'), '{}', '[]');
    FOR level IN 1..100 LOOP
        plain := replace(plain, '[]', '');
        EXIT WHEN plain = '';
    END LOOP;
    RETURN CASE WHEN plain <> '' THEN 'data is nested more than 100 deep' END;
END
$$;

-- The rule of a trace context that this one breaks, if it breaks one; as in webhooks-core.
CREATE FUNCTION webhook_trace_problem(traceparent text, tracestate text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    -- Ids of zeros alone are none.
    SELECT CASE
        WHEN traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
            OR traceparent ~ '^00-0{32}|-0{16}-'
            THEN 'traceparent is not 00-<32 hex digits>-<16 hex digits>-<2 hex digits>'
        WHEN tracestate IS NOT NULL AND traceparent IS NULL THEN 'tracestate has no traceparent'
        WHEN octet_length(tracestate) NOT BETWEEN 1 AND 512
            THEN 'tracestate has ' || octet_length(tracestate) || ' bytes, it needs 1 to 512'
        WHEN tracestate ~ '[^ -~]' THEN 'tracestate holds other than visible ascii and spaces'
    END
$$;

-- Sends an event inside the caller's transaction: it exists if and only if that commits. Returns
-- the event's id.
--
--   SELECT webhook_send('user.created', '{"user_id":"123"}');
--   SELECT webhook_send('user.created', '{}', tenant => 'org_1', delay => '5 minutes');
CREATE FUNCTION webhook_send(
    event           text,
    data            json,
    tenant          text DEFAULT NULL,
    priority        text DEFAULT 'normal',
    delay           interval DEFAULT '0',
    idempotency_key text DEFAULT NULL,
    max_retries     integer DEFAULT NULL,
    max_bytes       integer DEFAULT 262144,
    ordering_key    text DEFAULT NULL,
    traceparent     text DEFAULT NULL,
    tracestate      text DEFAULT NULL
) RETURNS text LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    -- Whole milliseconds, which is what an envelope carries.
    sent  timestamptz := date_trunc('milliseconds', clock_timestamp());
    -- The envelope around the data.
    bytes integer := 127 + octet_length(webhook_send.event)
                     + octet_length(webhook_send.data::text);
    level smallint := array_position(
        ARRAY['low', 'normal', 'high', 'critical'], webhook_send.priority) - 1;
    -- Of one length everywhere, whatever months and the caller's time zone make of days.
    seconds numeric := extract(epoch FROM webhook_send.delay);
    made  uuid;
    problem text;
BEGIN
    IF webhook_send.event IS NULL THEN
        RAISE EXCEPTION 'event type is null' USING ERRCODE = 'not_null_violation';
    END IF;
    IF webhook_send.data IS NULL THEN
        RAISE EXCEPTION 'data is null; the json null is written ''null''' USING ERRCODE = 'not_null_violation';
    END IF;
    IF bytes > webhook_send.max_bytes THEN
        RAISE EXCEPTION 'the event''s body is % bytes, at most %', bytes, webhook_send.max_bytes
            USING ERRCODE = 'check_violation';
    END IF;
    IF level IS NULL THEN
        RAISE EXCEPTION 'priority is none of low, normal, high, critical' USING ERRCODE = 'check_violation';
    END IF;
    IF webhook_send.delay IS NULL THEN
        RAISE EXCEPTION 'delay is null' USING ERRCODE = 'not_null_violation';
    END IF;
    problem := coalesce(
        webhook_event_type_problem(webhook_send.event),
        webhook_name_problem('tenant', webhook_send.tenant),
        webhook_name_problem('idempotency key', webhook_send.idempotency_key),
        webhook_name_problem('ordering key', webhook_send.ordering_key),
        webhook_trace_problem(webhook_send.traceparent, webhook_send.tracestate),
        CASE WHEN seconds NOT BETWEEN 0 AND 2592000
            THEN 'delay is ' || floor(seconds) || ' s, it needs 0 to 2592000' END,
        CASE WHEN webhook_send.max_retries NOT BETWEEN 0 AND 1000
            THEN 'max_retries is ' || webhook_send.max_retries || ', it needs 0 to 1000' END,
        webhook_data_problem(webhook_send.data::text));
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation';
    END IF;
    -- A version 7 UUID (RFC 9562): 48 bits of milliseconds in front of a random one.
    made := encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(epoch FROM sent) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid;
    INSERT INTO webhook_outbox
        (id, event_type, data, tenant, idempotency_key, priority, max_retries, created_at, due_at,
        ordering_key, traceparent, tracestate)
    VALUES (made, webhook_send.event, webhook_send.data, webhook_send.tenant,
        webhook_send.idempotency_key, level, webhook_send.max_retries, sent,
        sent + make_interval(secs => seconds), webhook_send.ordering_key,
        webhook_send.traceparent, webhook_send.tracestate);
    RETURN 'webhook_' || made;
END
$$;

-- The outbox's door for any SQLite client, of version 3.43 or later: who inserts here, inside a
-- transaction, sends an event that exists if and only if that commits.
--
--   INSERT INTO webhook_send (event, data) VALUES ('user.created', '{"user_id":"123"}');
--   INSERT INTO webhook_send (event, data, tenant, delay_ms) VALUES ('a', '{}', 'org_1', 300000);
CREATE VIEW webhook_send (event, data, tenant, priority, delay_ms, idempotency_key, max_retries,
    ordering_key, traceparent, tracestate, max_bytes, id) AS
SELECT event_type, data, tenant, priority, due_at - created_at, idempotency_key, max_retries,
    ordering_key, trace_parent, trace_state, NULL, id FROM webhook_outbox;

-- Texts of RAISE are literals: an expression there could not be read by a library before 3.47, for
-- which the whole file would then be malformed.
CREATE TRIGGER webhook_send_insert INSTEAD OF INSERT ON webhook_send
BEGIN
    SELECT CASE
        WHEN NEW.event IS NULL THEN RAISE(ABORT, 'event type is null')
        WHEN NEW.data IS NULL
            THEN RAISE(ABORT, 'data is null; the json null is written ''null''')
        WHEN typeof(NEW.data) = 'blob' THEN RAISE(ABORT, 'data is a blob, it needs to be text')
        WHEN 'blob' IN (typeof(NEW.event), typeof(NEW.tenant), typeof(NEW.idempotency_key),
                typeof(NEW.ordering_key), typeof(NEW.traceparent), typeof(NEW.tracestate))
            THEN RAISE(ABORT, 'event, tenant, keys, traceparent and tracestate need to be text')
        -- A text is greater than any number: it would be no bound.
        WHEN NEW.max_bytes IS NOT NULL AND typeof(NEW.max_bytes) <> 'integer'
            THEN RAISE(ABORT, 'max_bytes needs to be a whole number')
        -- The envelope around the data.
        WHEN 127 + octet_length(NEW.event) + octet_length(NEW.data)
                > coalesce(NEW.max_bytes, 262144)
            THEN RAISE(ABORT, 'the event''s body has more bytes than max_bytes')
        WHEN NEW.priority IS NOT NULL
                AND NEW.priority NOT IN ('low', 'normal', 'high', 'critical')
            THEN RAISE(ABORT, 'priority is none of low, normal, high, critical')
        WHEN NEW.event IN ('webhook.batch', 'webhook.ping')
            THEN RAISE(ABORT, 'event type is the system''s own')
        WHEN NEW.event = '' THEN RAISE(ABORT, 'event type is empty, it needs 1 to 256 characters')
        WHEN length(NEW.event) > 256
            THEN RAISE(ABORT, 'event type has more than 256 characters')
        WHEN instr('.' || NEW.event || '.', '..') > 0
            THEN RAISE(ABORT, 'event type has an empty segment; single dots join its segments')
        WHEN NEW.event GLOB '*[^A-Za-z0-9_.-]*' OR instr(CAST(NEW.event AS BLOB), x'00') > 0
            THEN RAISE(ABORT, 'event type holds a character that its segments do not: A-Z a-z 0-9 _ -')
        WHEN octet_length(NEW.tenant) NOT BETWEEN 1 AND 256
            THEN RAISE(ABORT, 'tenant needs 1 to 256 bytes')
        WHEN NEW.tenant GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159)
                || ']*' OR instr(CAST(NEW.tenant AS BLOB), x'00') > 0
            THEN RAISE(ABORT, 'tenant holds a control character')
        WHEN octet_length(NEW.idempotency_key) NOT BETWEEN 1 AND 256
            THEN RAISE(ABORT, 'idempotency key needs 1 to 256 bytes')
        WHEN NEW.idempotency_key GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-'
                || char(159) || ']*' OR instr(CAST(NEW.idempotency_key AS BLOB), x'00') > 0
            THEN RAISE(ABORT, 'idempotency key holds a control character')
        WHEN octet_length(NEW.ordering_key) NOT BETWEEN 1 AND 256
            THEN RAISE(ABORT, 'ordering key needs 1 to 256 bytes')
        WHEN NEW.ordering_key GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-'
                || char(159) || ']*' OR instr(CAST(NEW.ordering_key AS BLOB), x'00') > 0
            THEN RAISE(ABORT, 'ordering key holds a control character')
        WHEN NEW.traceparent IS NOT NULL AND (
                length(NEW.traceparent) <> 55 OR octet_length(NEW.traceparent) <> 55
                OR substr(NEW.traceparent, 1, 3) <> '00-'
                OR substr(NEW.traceparent, 36, 1) || substr(NEW.traceparent, 53, 1) <> '--'
                OR substr(NEW.traceparent, 4, 32) || substr(NEW.traceparent, 37, 16)
                    || substr(NEW.traceparent, 54) GLOB '*[^0-9a-f]*'
                OR trim(substr(NEW.traceparent, 4, 32), '0') = ''
                OR trim(substr(NEW.traceparent, 37, 16), '0') = '')
            THEN RAISE(ABORT, 'traceparent is not 00-<32 hex digits>-<16 hex digits>-<2 hex digits>')
        WHEN NEW.tracestate IS NOT NULL AND NEW.traceparent IS NULL
            THEN RAISE(ABORT, 'tracestate has no traceparent')
        WHEN octet_length(NEW.tracestate) NOT BETWEEN 1 AND 512
            THEN RAISE(ABORT, 'tracestate needs 1 to 512 bytes')
        WHEN NEW.tracestate GLOB '*[^ -~]*' OR length(NEW.tracestate) <> octet_length(NEW.tracestate)
            THEN RAISE(ABORT, 'tracestate holds other than visible ascii and spaces')
        WHEN NEW.delay_ms IS NOT NULL
                AND (typeof(NEW.delay_ms) <> 'integer' OR NEW.delay_ms NOT BETWEEN 0 AND 2592000000)
            THEN RAISE(ABORT, 'delay_ms needs 0 to 2592000000')
        WHEN NEW.max_retries IS NOT NULL
                AND (typeof(NEW.max_retries) <> 'integer' OR NEW.max_retries NOT BETWEEN 0 AND 1000)
            THEN RAISE(ABORT, 'max_retries needs 0 to 1000')
        WHEN NEW.id IS NOT NULL
                AND (typeof(NEW.id) <> 'blob' OR octet_length(NEW.id) <> 16)
            THEN RAISE(ABORT, 'id needs the 16 bytes of a UUID')
        WHEN instr(CAST(NEW.data AS BLOB), x'00') > 0 OR NOT json_valid(CAST(NEW.data AS TEXT))
            THEN RAISE(ABORT, 'data is not JSON')
        -- Half of a surrogate pair. What is escaped is neither the beginning of another escape nor
        -- the end of a string, once each pair of backslashes is out of the way.
        WHEN instr(lower(NEW.data), '\ud') > 0 AND (
            WITH RECURSIVE walk (rest, bad) AS (
                SELECT lower(replace(NEW.data, '\\', '__')), 0
                UNION ALL
                SELECT
                    CASE WHEN substr(rest, instr(rest, '\ud')) GLOB '\ud[0-7]*'
                        THEN substr(rest, instr(rest, '\ud') + 6)
                        ELSE substr(rest, instr(rest, '\ud') + 12) END,
                    substr(rest, instr(rest, '\ud')) GLOB '\ud[89a-f]*'
                    AND NOT substr(rest, instr(rest, '\ud'))
                        GLOB '\ud[89ab][0-9a-f][0-9a-f]\ud[c-f][0-9a-f][0-9a-f]*'
                FROM walk WHERE NOT bad AND instr(rest, '\ud') > 0
            )
            SELECT max(bad) FROM walk)
            THEN RAISE(ABORT, 'data holds half of a surrogate pair, which is no unicode text')
        -- Only what has more brackets than levels are allowed is looked at.
        WHEN octet_length(NEW.data) - octet_length(replace(replace(NEW.data, '[', ''), '{', ''))
                > 100 AND (
            WITH RECURSIVE nodes AS MATERIALIZED (
                SELECT id, parent FROM json_tree(NEW.data) WHERE type IN ('array', 'object')
            ), nested (id, depth) AS (
                SELECT id, 1 FROM nodes WHERE parent IS NULL
                UNION ALL
                SELECT nodes.id, depth + 1 FROM nested JOIN nodes ON nodes.parent = nested.id
            )
            SELECT max(depth) FROM nested) > 100
            THEN RAISE(ABORT, 'data is nested more than 100 deep')
    END;
    INSERT INTO webhook_outbox (id, event_type, data, tenant, idempotency_key, ordering_key,
        trace_parent, trace_state, priority, max_retries, created_at, due_at)
    SELECT
        -- A version 7 UUID (RFC 9562): 48 bits of milliseconds in front of random ones.
        coalesce(NEW.id, unhex(printf('%012x', now) || '7' || substr(hex(randomblob(2)), 2)
            || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))),
        NEW.event, CAST(NEW.data AS TEXT), NEW.tenant, NEW.idempotency_key, NEW.ordering_key,
        NEW.traceparent, NEW.tracestate,
        CASE coalesce(NEW.priority, 'normal')
            WHEN 'low' THEN 0 WHEN 'normal' THEN 1 WHEN 'high' THEN 2 ELSE 3 END,
        NEW.max_retries, now, now + coalesce(NEW.delay_ms, 0)
    FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now);
END;

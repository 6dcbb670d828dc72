-- $1 the worker of the leases, $2 now, $3 whether the events come from the outbox, whose rows go with
-- them, $4 when the idempotency keys of this call are forgotten.
-- $5..$20 the events. $21..$25 their deliveries: number of the event, id, endpoint, its incarnation or
-- NULL for any, and flags: 1 sent by name, 2 the worker leases it at once, 4 its id is not of the
-- millisecond of its event, 8 it holds its order. $26 their orders, where one of the call has one.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($5::uuid[], $6::text[], $7::text[], $8::json[], $9::integer[],
        $10::timestamptz[], $11::smallint[], $12::bigint[], $13::timestamptz[], $14::integer[],
        $15::text[], $16::text[], $17::text[], $18::boolean[], $19::bytea[], $20::bytea[])
        WITH ORDINALITY AS e (id, event_type, tenant, payload, payload_bytes, created_at, priority,
            sort_key, due_at, max_retries, ordering_key, traceparent, tracestate, keep, key, fingerprint,
            n)
), taken AS MATERIALIZED (
    -- Another node may be at the same rows of the outbox: one of the two gets each.
    DELETE FROM @.webhook_outbox WHERE $3::boolean AND id = ANY (ARRAY(
        SELECT id FROM @.webhook_outbox WHERE id = ANY ($5::uuid[])
        ORDER BY id FOR UPDATE SKIP LOCKED))
    RETURNING id
), live AS MATERIALIZED (
    -- A deletion waits for this lock, or is waited for and then seen. In one order, so that no two
    -- calls wait for each other.
    SELECT id, incarnation FROM @.webhook_endpoints
    WHERE id = ANY ($23::text[]) AND deleted_at IS NULL ORDER BY id FOR KEY SHARE
), known AS MATERIALIZED (
    -- Almost never one: a call that is made again, or a later part of an event. No sweep drops it now,
    -- and no erasure comes between.
    -- Each by its key: a plan that was made while the table was small would read all of it.
    SELECT e.id, g.n, e.is_erased
    FROM (SELECT id, n FROM given ORDER BY id) g CROSS JOIN LATERAL (
        SELECT id, payload IS NULL AS is_erased FROM @.webhook_events WHERE id = g.id FOR SHARE
    ) e
), wanted AS MATERIALIZED (
    SELECT d.n, d.p, d.id, d.endpoint_id, l.incarnation, d.flags & 1 <> 0 AS by_name,
        d.flags & 2 <> 0 AND $1::text IS NOT NULL AS is_leased, d.flags & 4 <> 0 AS is_apart,
        d.flags & 8 <> 0 AS holds, {order_key} AS order_key, there.is_there,
        -- An endpoint that was registered anew since is another one. What was erased does not come
        -- back by a call that is made again.
        l.id IS NOT NULL AND coalesce(d.incarnation = l.incarnation, true)
            AND (there.is_there OR NOT coalesce(k.is_erased, false)) AS is_live
    FROM {deliveries}
    LEFT JOIN live l ON l.id = d.endpoint_id
    LEFT JOIN known k ON k.n = d.n
    CROSS JOIN LATERAL (
        -- No delivery is there without its event.
        SELECT CASE WHEN k.n IS NULL THEN false ELSE
            (SELECT true FROM @.webhook_queue q WHERE q.id = d.id LIMIT 1) IS NOT NULL
            OR (SELECT true FROM @.webhook_archive a WHERE a.id = d.id LIMIT 1) IS NOT NULL
            END AS is_there
    ) there
), keyed AS MATERIALIZED (
    SELECT g.n, g.id, g.key, g.fingerprint FROM given g
    WHERE g.key IS NOT NULL AND (NOT $3 OR EXISTS (SELECT FROM taken t WHERE t.id = g.id))
), first AS (
    -- Two events of one call may have the same key.
    SELECT DISTINCT ON (key) n, id, key, fingerprint FROM keyed ORDER BY key, n
), remembered AS (
    -- In the order of the keys, for who stores the same ones at the same time. One that is known is
    -- written anew too: the row that comes back is then the one that counts, whoever wrote it.
    INSERT INTO @.webhook_idempotency AS i (key, event_id, delivery_ids, expires_at, fingerprint)
    SELECT f.key, f.id, ARRAY(SELECT w.id FROM wanted w WHERE w.n = f.n AND w.is_live),
        $4::timestamptz, f.fingerprint
    FROM first f ORDER BY f.key
    ON CONFLICT (key) DO UPDATE SET
        event_id = CASE WHEN i.expires_at <= $2::timestamptz THEN excluded.event_id
            ELSE i.event_id END,
        delivery_ids = CASE WHEN i.expires_at <= $2 THEN excluded.delivery_ids
            ELSE i.delivery_ids END,
        fingerprint = CASE WHEN i.expires_at <= $2 THEN excluded.fingerprint
            ELSE i.fingerprint END,
        expires_at = CASE WHEN i.expires_at <= $2 THEN excluded.expires_at
            ELSE i.expires_at END
    RETURNING key, event_id, delivery_ids, fingerprint
), duplicate AS MATERIALIZED (
    -- The same event is the same call sent twice, not a second event.
    SELECT k.n, r.event_id, r.delivery_ids,
        coalesce(r.fingerprint <> k.fingerprint, false) AS is_other
    FROM keyed k JOIN remembered r ON r.key = k.key
    WHERE r.event_id <> k.id
), new AS MATERIALIZED (
    SELECT * FROM given g
    WHERE NOT EXISTS (SELECT FROM duplicate d WHERE d.n = g.n)
        AND (NOT $3 OR EXISTS (SELECT FROM taken t WHERE t.id = g.id))
), kept AS (
    INSERT INTO @.webhook_events (id, created_at, due_at, max_retries, payload_bytes, priority,
        event_type, tenant, ordering_key, traceparent, tracestate, payload)
    SELECT id, created_at, due_at, max_retries, payload_bytes, priority, event_type, tenant,
        ordering_key, traceparent, tracestate, payload
    FROM new g
    WHERE (keep OR EXISTS (SELECT FROM wanted w WHERE w.n = g.n AND w.is_live))
        AND NOT EXISTS (SELECT FROM known k WHERE k.n = g.n)
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
), stored AS (
    INSERT INTO @.webhook_queue (id, endpoint_id, event_id, sort_key, token, created_at,
        queued_at, updated_at, next_retry_at, attempts, max_retries, priority, is_ready, status,
        event_type, tenant, worker, incarnation, by_name, is_apart, holds, order_key, in_line)
    -- The first lease has token 1.
    SELECT id, endpoint_id, event_id, sort_key, is_leased::integer, created_at, created_at, $2, due_at,
        0, max_retries, priority, due_at <= $2 AND NOT is_blocked,
        CASE WHEN is_leased THEN 'processing' WHEN is_blocked THEN 'blocked' ELSE 'pending' END,
        event_type, tenant, CASE WHEN is_leased THEN $1 END, incarnation, by_name, is_apart, holds,
        order_key, order_key IS NOT NULL
    FROM (
        SELECT w.p, w.id, w.endpoint_id, g.id AS event_id, g.sort_key, g.created_at, g.due_at,
            g.max_retries, g.priority, g.event_type, g.tenant, w.incarnation, w.by_name, w.is_apart,
            w.holds, w.order_key, w.is_leased AND w.order_key IS NULL AS is_leased,
            {is_blocked} AS is_blocked
        FROM wanted w JOIN new g ON g.n = w.n
        WHERE w.is_live AND NOT w.is_there
    ) made
    ORDER BY p
    ON CONFLICT (id) DO NOTHING
)
-- Everything was stored but for what is in the answer.
SELECT n, 'missing' AS what, id, NULL::uuid[] AS ids, 0 AS definitions FROM wanted WHERE NOT is_live
UNION ALL
SELECT n, CASE WHEN is_other THEN 'reused' ELSE 'duplicate' END, event_id, delivery_ids, 0
FROM duplicate
UNION ALL
-- Taken by another node.
SELECT g.n, 'lost', g.id, NULL, 0 FROM given g
WHERE $3 AND NOT EXISTS (SELECT FROM taken t WHERE t.id = g.id)
UNION ALL
SELECT 0, 'definitions', NULL, NULL, definitions FROM @.webhook_revision

-- $1 the worker of the leases, $2 now, $3 whether the events come from the outbox, whose rows go with
-- them, $4 when the idempotency keys of this call are forgotten.
-- $5..$14 the events. $15..$20 their deliveries: number of the event, id, endpoint, its incarnation or
-- NULL for any, whether it was sent by name, whether the worker leases it at once.
-- $21, $22 the idempotency keys of events, by number.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($5::integer[], $6::uuid[], $7::text[], $8::text[], $9::json[],
        $10::timestamptz[], $11::smallint[], $12::bigint[], $13::timestamptz[], $14::integer[])
        AS e (n, id, event_type, tenant, payload, created_at, priority, sort_key, due_at,
            max_retries)
), taken AS MATERIALIZED (
    -- Another node may be at the same rows of the outbox: one of the two gets each.
    DELETE FROM @.webhook_outbox WHERE $3::boolean AND id = ANY (ARRAY(
        SELECT id FROM @.webhook_outbox WHERE id = ANY ($6::uuid[])
        ORDER BY id FOR UPDATE SKIP LOCKED))
    RETURNING id
), live AS MATERIALIZED (
    -- A deletion waits for this lock, or is waited for and then seen. In one order, so that no two
    -- calls wait for each other.
    SELECT id, incarnation FROM @.webhook_endpoints
    WHERE id = ANY ($17::text[]) AND deleted_at IS NULL ORDER BY id FOR KEY SHARE
), wanted AS MATERIALIZED (
    SELECT d.n, d.id, d.endpoint_id, l.incarnation, d.by_name,
        d.is_leased AND $1::text IS NOT NULL AS is_leased,
        -- An endpoint that was registered anew since is another one.
        l.id IS NOT NULL AND coalesce(d.incarnation = l.incarnation, true) AS is_live
    FROM unnest($15::integer[], $16::uuid[], $17::text[], $18::bigint[], $19::boolean[],
        $20::boolean[]) AS d (n, id, endpoint_id, incarnation, by_name, is_leased)
    LEFT JOIN live l ON l.id = d.endpoint_id
), keyed AS MATERIALIZED (
    SELECT k.n, k.key FROM unnest($21::integer[], $22::bytea[]) AS k (n, key)
    WHERE NOT $3 OR EXISTS (SELECT FROM taken t, given g WHERE g.n = k.n AND t.id = g.id)
), first AS (
    -- Two events of one call may have the same key.
    SELECT DISTINCT ON (key) n, key FROM keyed ORDER BY key, n
), remembered AS (
    -- In the order of the keys, for who stores the same ones at the same time. One that is known is
    -- written anew too: the row that comes back is then the one that counts, whoever wrote it.
    INSERT INTO @.webhook_idempotency AS i (key, event_id, delivery_ids, expires_at)
    SELECT f.key, g.id,
        ARRAY(SELECT w.id FROM wanted w WHERE w.n = f.n AND w.is_live),
        $4::timestamptz
    FROM first f JOIN given g ON g.n = f.n ORDER BY f.key
    ON CONFLICT (key) DO UPDATE SET
        event_id = CASE WHEN i.expires_at <= $2::timestamptz THEN excluded.event_id
            ELSE i.event_id END,
        delivery_ids = CASE WHEN i.expires_at <= $2 THEN excluded.delivery_ids
            ELSE i.delivery_ids END,
        expires_at = CASE WHEN i.expires_at <= $2 THEN excluded.expires_at
            ELSE i.expires_at END
    RETURNING key, event_id, delivery_ids
), duplicate AS MATERIALIZED (
    -- The same event is the same call sent twice, not a second event.
    SELECT k.n, r.event_id, r.delivery_ids
    FROM keyed k JOIN remembered r ON r.key = k.key JOIN given g ON g.n = k.n
    WHERE r.event_id <> g.id
), stored AS (
    INSERT INTO @.webhook_queue (id, endpoint_id, event_id, sort_key, token, created_at,
        queued_at, updated_at, next_retry_at, attempts, max_retries, priority, is_ready, status,
        event_type, tenant, worker, incarnation, by_name, payload)
    -- The first lease has token 1.
    SELECT w.id, w.endpoint_id, g.id, g.sort_key, w.is_leased::integer, g.created_at,
        g.created_at, $2, g.due_at, 0, g.max_retries, g.priority, g.due_at <= $2,
        CASE WHEN w.is_leased THEN 'processing' ELSE 'pending' END,
        g.event_type, g.tenant, CASE WHEN w.is_leased THEN $1 END, w.incarnation,
        w.by_name, g.payload
    FROM wanted w JOIN given g ON g.n = w.n
    WHERE w.is_live
        AND NOT EXISTS (SELECT FROM duplicate d WHERE d.n = w.n)
        AND (NOT $3 OR EXISTS (SELECT FROM taken t WHERE t.id = g.id))
        -- What was delivered since is not made anew when a call is sent twice.
        AND NOT EXISTS (SELECT FROM @.webhook_archive a WHERE a.id = w.id)
    ORDER BY g.n, w.id
    ON CONFLICT (id) DO NOTHING
)
-- Everything was stored but for what is in the answer.
SELECT n, 'missing' AS what, id, NULL::uuid[] AS ids FROM wanted WHERE NOT is_live
UNION ALL
SELECT n, 'duplicate', event_id, delivery_ids FROM duplicate
UNION ALL
-- Taken by another node.
SELECT g.n, 'lost', g.id, NULL FROM given g
WHERE $3 AND NOT EXISTS (SELECT FROM taken t WHERE t.id = g.id)

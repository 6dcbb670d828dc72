-- $1..$10: the events. $11..$14: their deliveries. $15: the worker of the leases. $16: now.
-- $17: they come from the outbox, whose rows go with them. $18, $19: idempotency keys. $20, $21:
-- the deliveries' incarnations, NULL for any, and whether they were sent by name.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::json[],
        $6::timestamptz[], $7::smallint[], $8::bigint[], $9::timestamptz[], $10::integer[])
        AS e (n, id, event_type, tenant, payload, created_at, priority, sort_key, due_at,
            max_retries)
), taken AS MATERIALIZED (
    -- Another node may be at the same rows of the outbox: one of the two gets each.
    DELETE FROM @.webhook_outbox WHERE $17::boolean AND id = ANY (ARRAY(
        SELECT id FROM @.webhook_outbox WHERE id = ANY ($2::uuid[])
        ORDER BY id FOR UPDATE SKIP LOCKED))
    RETURNING id
), live AS MATERIALIZED (
    -- A deletion waits for this lock, or is waited for and then seen.
    SELECT id, incarnation FROM @.webhook_endpoints
    WHERE id = ANY ($13::text[]) AND deleted_at IS NULL ORDER BY id FOR KEY SHARE
), wanted AS MATERIALIZED (
    SELECT d.n, d.id, d.endpoint_id, d.lease, d.by_name, l.incarnation,
        l.id IS NOT NULL AND coalesce(d.incarnation = l.incarnation, true) AS is_live
    FROM unnest($11::integer[], $12::uuid[], $13::text[], $14::boolean[], $20::bigint[],
        $21::boolean[]) AS d (n, id, endpoint_id, lease, incarnation, by_name)
    LEFT JOIN live l ON l.id = d.endpoint_id
), keyed AS MATERIALIZED (
    SELECT k.n, k.key FROM unnest($18::integer[], $19::bytea[]) AS k (n, key)
    WHERE NOT $17 OR EXISTS (SELECT FROM taken t, given g WHERE g.n = k.n AND t.id = g.id)
), first AS (
    SELECT DISTINCT ON (key) n, key FROM keyed ORDER BY key, n
), remembered AS (
    INSERT INTO @.webhook_idempotency AS i (key, event_id, delivery_ids, expires_at)
    SELECT f.key, g.id,
        ARRAY(SELECT w.id FROM wanted w WHERE w.n = f.n AND w.is_live),
        $16::timestamptz + interval '24 hours'
    FROM first f JOIN given g ON g.n = f.n ORDER BY f.key
    ON CONFLICT (key) DO UPDATE SET
        event_id = CASE WHEN i.expires_at <= $16 THEN excluded.event_id ELSE i.event_id END,
        delivery_ids = CASE WHEN i.expires_at <= $16 THEN excluded.delivery_ids
            ELSE i.delivery_ids END,
        expires_at = CASE WHEN i.expires_at <= $16 THEN excluded.expires_at
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
    SELECT w.id, w.endpoint_id, g.id, g.sort_key, (leased.yes)::integer, g.created_at,
        g.created_at, $16, g.due_at, 0, g.max_retries, g.priority, g.due_at <= $16,
        CASE WHEN leased.yes THEN 'processing' ELSE 'pending' END,
        g.event_type, g.tenant, CASE WHEN leased.yes THEN $15 END, w.incarnation,
        w.by_name, g.payload
    FROM wanted w JOIN given g ON g.n = w.n
    CROSS JOIN LATERAL (SELECT w.lease AND $15::text IS NOT NULL AS yes) leased
    WHERE w.is_live
        AND NOT EXISTS (SELECT FROM duplicate d WHERE d.n = w.n)
        AND (NOT $17 OR EXISTS (SELECT FROM taken t WHERE t.id = g.id))
        -- What was delivered since is not made anew when a call is sent twice.
        AND NOT EXISTS (SELECT FROM @.webhook_archive a WHERE a.id = w.id)
    ORDER BY g.n, w.id
    ON CONFLICT (id) DO NOTHING
)
SELECT n, 'missing' AS what, id, NULL::uuid[] AS ids FROM wanted WHERE NOT is_live
UNION ALL
SELECT n, 'duplicate', event_id, delivery_ids FROM duplicate
UNION ALL
SELECT g.n, 'lost', g.id, NULL FROM given g
WHERE $17 AND NOT EXISTS (SELECT FROM taken t WHERE t.id = g.id)

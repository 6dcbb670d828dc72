-- $1 worker, $2 now. $3..$8: the settlements, kind 0 delivered, 1 retry, 2 dead, 3 release,
-- 4 cancelled.
-- $9..$15: the attempts of those with one, $9 the number of the settlement.
WITH given AS MATERIALIZED (
    SELECT DISTINCT ON (id, token) n, id, token, kind, at, reason, counts
    FROM unnest($3::integer[], $4::uuid[], $5::bigint[], $6::smallint[], $7::timestamptz[],
        $8::text[], $16::boolean[]) AS s (n, id, token, kind, at, reason, counts)
    -- The second of two for the same lease is stale.
    ORDER BY id, token, n
), live AS MATERIALIZED (
    -- A deletion waits for this lock, or is waited for and then seen.
    SELECT e.id, e.incarnation FROM @.webhook_endpoints e
    WHERE e.id = ANY ($17::text[]) AND e.deleted_at IS NULL ORDER BY e.id FOR KEY SHARE
), back AS MATERIALIZED (
    -- What may wait again, as it is once it is locked: its payload may just be being erased. A row
    -- has a worker only while it is leased. To say so would let the planner walk the index of all
    -- leases instead.
    SELECT q.id, q.payload IS NOT NULL AS is_whole
    FROM given g JOIN @.webhook_queue q
        ON q.id = g.id AND q.worker = $1::text AND q.token = g.token
    WHERE g.kind IN (1, 3) FOR UPDATE OF q
), gone AS (
    DELETE FROM @.webhook_queue q USING given g
    WHERE q.id = g.id AND q.worker = $1 AND q.token = g.token
        AND (g.kind IN (0, 4) OR g.kind IN (1, 3) AND (
            q.id IN (SELECT id FROM back WHERE NOT is_whole)
            OR NOT EXISTS (SELECT FROM live
                WHERE live.id = q.endpoint_id AND live.incarnation = q.incarnation)))
    RETURNING g.n, g.kind, g.counts, g.reason, q.id, q.endpoint_id, q.event_id, q.created_at,
        q.next_retry_at, q.attempts, q.max_retries, q.crashes, q.priority, q.event_type,
        q.tenant, q.payload
), kept AS (
    UPDATE @.webhook_queue q SET
        status = CASE g.kind WHEN 2 THEN 'dead' ELSE 'pending' END,
        dead_reason = g.reason,
        next_retry_at = CASE g.kind WHEN 2 THEN q.next_retry_at ELSE g.at END,
        is_ready = g.kind <> 2 AND g.at <= $2::timestamptz,
        attempts = q.attempts + g.counts::integer,
        worker = NULL, updated_at = $2
    FROM given g
    WHERE q.id = g.id AND q.worker = $1 AND q.token = g.token
        AND (g.kind = 2 OR g.kind IN (1, 3) AND q.id IN (SELECT id FROM back WHERE is_whole)
            AND EXISTS (SELECT FROM live
                WHERE live.id = q.endpoint_id AND live.incarnation = q.incarnation))
    RETURNING g.n, g.kind, q.endpoint_id
), archived AS (
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, created_at, updated_at,
        next_retry_at, attempts, max_retries, crashes, priority, status, event_type, tenant,
        cancel_reason, payload)
    SELECT id, endpoint_id, event_id, created_at, $2, next_retry_at,
        attempts + counts::integer, max_retries, crashes, priority,
        CASE kind WHEN 0 THEN 'delivered' ELSE 'cancelled' END, event_type, tenant,
        CASE WHEN kind IN (0, 4) THEN reason
            WHEN payload IS NULL THEN 'erased'
            WHEN EXISTS (SELECT FROM live WHERE live.id = endpoint_id) THEN 'endpoint_replaced'
            ELSE 'endpoint_deleted' END,
        payload
    FROM gone
), applied AS MATERIALIZED (
    SELECT n, kind, kind <> 0 AS is_cancelled, endpoint_id FROM gone
    UNION ALL SELECT n, kind, false, endpoint_id FROM kept
), logged AS (
    INSERT INTO @.webhook_attempts (delivery_id, token, started_at, duration_us, number, status,
        ambiguous, failure, response)
    SELECT s.id, s.token, a.started_at, a.duration_us, a.number, a.status,
        a.ambiguous OR p.n IS NULL, a.failure, a.response
    FROM unnest($9::integer[], $10::timestamptz[], $11::bigint[], $12::integer[],
        $13::smallint[], $14::text[], $15::bytea[], $18::boolean[])
        AS a (n, started_at, duration_us, number, status, failure, response, ambiguous)
    JOIN unnest($3, $4, $5) AS s (n, id, token) ON s.n = a.n
    LEFT JOIN applied p ON p.n = a.n
    -- A call that is sent twice finds its own line.
    WHERE p.n IS NOT NULL OR NOT EXISTS (
        SELECT FROM @.webhook_attempts o
        WHERE o.delivery_id = s.id AND o.token = s.token AND o.started_at = a.started_at)
    ORDER BY a.n
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, delivered, dead, cancelled)
    SELECT endpoint_id, count(*) FILTER (WHERE kind = 0),
        count(*) FILTER (WHERE kind = 2), count(*) FILTER (WHERE is_cancelled)
    FROM applied WHERE kind IN (0, 2) OR is_cancelled GROUP BY 1
)
SELECT n, is_cancelled AND kind <> 4 AS is_cancelled FROM applied

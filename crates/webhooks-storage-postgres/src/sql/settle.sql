-- $1 the worker, $2 now.
-- $3..$9 the settlements: number, delivery, token of its lease, what it is to become ('delivered',
-- 'retry', 'dead', 'release' or 'cancelled'), when it is due again, why it is dead or cancelled, and
-- whether it was attempted.
-- $10 the endpoints of what is to wait again.
-- $11..$20 the attempts: number of the settlement, delivery, token, and what is logged.
WITH given AS MATERIALIZED (
    SELECT DISTINCT ON (id, token) n, id, token, become, due_at, reason, was_attempted,
        become IN ('retry', 'release') AS waits_again
    FROM unnest($3::integer[], $4::uuid[], $5::bigint[], $6::text[], $7::timestamptz[],
        $8::text[], $9::boolean[]) AS s (n, id, token, become, due_at, reason, was_attempted)
    -- The second of two for the same lease is stale.
    ORDER BY id, token, n
), live AS MATERIALIZED (
    -- A deletion waits for this lock, or is waited for and then seen. In one order, so that no two
    -- calls wait for each other.
    SELECT id, incarnation FROM @.webhook_endpoints
    WHERE id = ANY ($10::text[]) AND deleted_at IS NULL ORDER BY id FOR KEY SHARE
), back AS MATERIALIZED (
    -- What is to wait again, as it is once it is locked: its payload may just be being erased. A row
    -- has a worker only while it is leased. To say so would let the planner walk the index of all
    -- leases instead.
    SELECT q.id, q.payload IS NULL AS is_erased
    FROM given g JOIN @.webhook_queue q
        ON q.id = g.id AND q.worker = $1::text AND q.token = g.token
    WHERE g.waits_again FOR UPDATE OF q
), gone AS (
    -- What has ended, and what is to wait again and cannot: its payload is erased, or its endpoint is
    -- not the one it was made for. Who does not hold the lease any more finds no row.
    DELETE FROM @.webhook_queue q USING given g
    WHERE q.id = g.id AND q.worker = $1 AND q.token = g.token
        AND (g.become IN ('delivered', 'cancelled') OR g.waits_again AND (
            q.id IN (SELECT id FROM back WHERE is_erased)
            OR NOT EXISTS (SELECT FROM live
                WHERE live.id = q.endpoint_id AND live.incarnation = q.incarnation)))
    RETURNING g.n, g.become, g.was_attempted, g.reason,
        CASE g.become WHEN 'delivered' THEN 'delivered' ELSE 'cancelled' END AS became,
        q.id, q.endpoint_id, q.event_id, q.created_at, q.next_retry_at, q.attempts,
        q.max_retries, q.crashes, q.priority, q.event_type, q.tenant, q.payload
), kept AS (
    -- The rest: the conditions are those above, the other way round, so that no row is in both.
    UPDATE @.webhook_queue q SET
        status = CASE WHEN g.waits_again THEN 'pending' ELSE 'dead' END,
        dead_reason = g.reason,
        next_retry_at = CASE WHEN g.waits_again THEN g.due_at ELSE q.next_retry_at END,
        is_ready = g.waits_again AND g.due_at <= $2::timestamptz,
        attempts = q.attempts + g.was_attempted::integer,
        -- The token stays, and grows with the next claim: this lease is over for good.
        worker = NULL, updated_at = $2
    FROM given g
    WHERE q.id = g.id AND q.worker = $1 AND q.token = g.token
        AND (g.become = 'dead' OR g.waits_again
            AND q.id IN (SELECT id FROM back WHERE NOT is_erased)
            AND EXISTS (SELECT FROM live
                WHERE live.id = q.endpoint_id AND live.incarnation = q.incarnation))
    RETURNING g.n, g.become, q.status AS became, q.endpoint_id
), archived AS (
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, created_at, updated_at,
        next_retry_at, attempts, max_retries, crashes, priority, status, event_type, tenant,
        cancel_reason, payload)
    SELECT id, endpoint_id, event_id, created_at, $2, next_retry_at,
        attempts + was_attempted::integer, max_retries, crashes, priority, became, event_type,
        tenant,
        CASE WHEN become IN ('delivered', 'cancelled') THEN reason
            WHEN payload IS NULL THEN 'erased'
            WHEN EXISTS (SELECT FROM live WHERE live.id = endpoint_id) THEN 'endpoint_replaced'
            ELSE 'endpoint_deleted' END,
        payload
    FROM gone
), applied AS MATERIALIZED (
    SELECT n, become, became, endpoint_id FROM gone
    UNION ALL SELECT n, become, became, endpoint_id FROM kept
), logged AS (
    INSERT INTO @.webhook_attempts (delivery_id, token, started_at, duration_us, number, status,
        ambiguous, failure, response)
    SELECT a.delivery_id, a.token, a.started_at, a.duration_us, a.number, a.status,
        -- A request of a lease that was lost was made all the same.
        a.ambiguous OR applied.n IS NULL, a.failure, a.response
    FROM unnest($11::integer[], $12::uuid[], $13::bigint[], $14::timestamptz[], $15::bigint[],
        $16::integer[], $17::smallint[], $18::boolean[], $19::text[], $20::bytea[])
        AS a (n, delivery_id, token, started_at, duration_us, number, status, ambiguous, failure,
            response)
    LEFT JOIN applied ON applied.n = a.n
    -- A call that is sent twice finds its own line.
    WHERE applied.n IS NOT NULL OR NOT EXISTS (
        SELECT FROM @.webhook_attempts old
        WHERE old.delivery_id = a.delivery_id AND old.token = a.token
            AND old.started_at = a.started_at)
    ORDER BY a.n
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, delivered, dead, cancelled)
    SELECT endpoint_id, count(*) FILTER (WHERE became = 'delivered'),
        count(*) FILTER (WHERE became = 'dead'), count(*) FILTER (WHERE became = 'cancelled')
    FROM applied WHERE became <> 'pending' GROUP BY 1
)
-- What is not in the answer is stale.
SELECT n, became = 'cancelled' AND become <> 'cancelled' AS is_cancelled FROM applied

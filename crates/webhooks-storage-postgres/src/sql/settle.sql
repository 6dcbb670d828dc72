-- $1 the worker, $2 now.
-- $3..$7 the settlements: delivery, token of its lease, what it is to become ('delivered', 'retry',
-- 'dead', 'release' or 'cancelled'), when it is due again, why it is dead or cancelled.
-- $8 the endpoints of what is to wait again.
-- $9..$16 their attempts, NULL where none was started.
WITH called AS MATERIALIZED (
    SELECT * FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[],
        $9::timestamptz[], $10::bigint[], $11::integer[], $12::smallint[], $13::boolean[],
        $14::text[], $15::bytea[], $16::json[]) WITH ORDINALITY
        AS s (id, token, become, due_at, reason, started_at, duration_us, number, status, ambiguous,
            failure, response, response_headers, n)
), given AS MATERIALIZED (
    SELECT DISTINCT ON (id, token) n, id, token, become, due_at, reason, status, failure,
        started_at IS NOT NULL AS was_attempted, become IN ('retry', 'release') AS waits_again
    FROM called
    -- The second of two for the same lease is stale.
    ORDER BY id, token, n
), live AS MATERIALIZED (
    -- A deletion waits for this lock, or is waited for and then seen. In one order, so that no two
    -- calls wait for each other.
    SELECT id, incarnation FROM @.webhook_endpoints
    WHERE id = ANY ($8::text[]) AND deleted_at IS NULL ORDER BY id FOR KEY SHARE
), back AS MATERIALIZED (
    -- What is to wait again, as it is once it is locked: its payload may just be being erased. A row
    -- has a worker only while it is leased. To say so would let the planner walk the index of all
    -- leases instead.
    SELECT q.id, q.is_erased
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
    RETURNING g.n, g.become, g.was_attempted, g.reason, g.status AS new_status, g.failure AS new_failure,
        CASE g.become WHEN 'delivered' THEN 'delivered' ELSE 'cancelled' END AS became, q.*
), kept AS (
    -- The rest: the conditions are those above, the other way round, so that no row is in both.
    UPDATE @.webhook_queue q SET
        status = CASE WHEN g.waits_again THEN 'pending' ELSE 'dead' END,
        dead_reason = g.reason,
        next_retry_at = CASE WHEN g.waits_again THEN g.due_at ELSE q.next_retry_at END,
        is_ready = g.waits_again AND g.due_at <= $2::timestamptz,
        -- What expired or has nothing to send holds nothing.
        in_line = q.in_line AND (g.waits_again OR q.holds AND NOT q.is_erased
            AND g.reason NOT IN ('expired', 'backlog_full')),
        attempts = q.attempts + g.was_attempted::integer,
        last_status = CASE WHEN g.was_attempted THEN g.status ELSE q.last_status END,
        last_failure = CASE WHEN g.was_attempted THEN g.failure ELSE q.last_failure END,
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
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, token, incarnation, by_name, is_apart,
        is_erased, order_key, holds, tenant, updated_at, next_retry_at, attempts, crashes, status,
        cancel_reason, last_status, last_failure, started_at, duration_us, number, response,
        response_headers)
    SELECT g.id, g.endpoint_id, g.event_id, g.token, g.incarnation, g.by_name, g.is_apart, g.is_erased,
        g.order_key, g.holds, g.tenant, $2, g.next_retry_at, g.attempts + g.was_attempted::integer,
        g.crashes, g.became,
        CASE WHEN g.become IN ('delivered', 'cancelled') THEN g.reason
            WHEN g.is_erased THEN 'erased'
            WHEN EXISTS (SELECT FROM live WHERE live.id = g.endpoint_id) THEN 'endpoint_replaced'
            ELSE 'endpoint_deleted' END,
        CASE WHEN g.was_attempted THEN g.new_status ELSE g.last_status END,
        CASE WHEN g.was_attempted THEN g.new_failure ELSE g.last_failure END,
        -- The last attempt, which needs no row of its own then.
        c.started_at, c.duration_us, c.number, nullif(c.response, ''), c.response_headers
    FROM gone g JOIN called c ON c.n = g.n
), late AS MATERIALIZED (
    -- Attempts of leases that were lost. A call that is sent twice finds its own lines, each by its key:
    -- a plan that was made while the tables were small would read all of them.
    SELECT a.n FROM called a
    WHERE a.started_at IS NOT NULL AND a.n NOT IN (SELECT n FROM gone UNION ALL SELECT n FROM kept)
        AND (SELECT true FROM @.webhook_attempts old
            WHERE old.delivery_id = a.id AND old.token = a.token AND old.started_at = a.started_at
            LIMIT 1) IS NULL
        AND (SELECT true FROM @.webhook_archive old
            WHERE old.id = a.id AND old.token = a.token AND old.started_at = a.started_at
            LIMIT 1) IS NULL
), logged AS (
    INSERT INTO @.webhook_attempts (delivery_id, token, started_at, duration_us, number, status,
        ambiguous, failure, response, response_headers)
    SELECT a.id, a.token, a.started_at, a.duration_us, a.number, a.status,
        -- A request of a lease that was lost was made all the same.
        a.ambiguous OR l.is_late, a.failure, a.response, a.response_headers
    FROM (SELECT n, false AS is_late FROM kept UNION ALL SELECT n, true FROM late) l
    JOIN called a ON a.n = l.n
    WHERE a.started_at IS NOT NULL
    ORDER BY a.n
), applied AS MATERIALIZED (
    SELECT n, become, became, endpoint_id FROM gone
    UNION ALL SELECT n, become, became, endpoint_id FROM kept
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, delivered, dead, cancelled)
    SELECT endpoint_id, count(*) FILTER (WHERE became = 'delivered'),
        count(*) FILTER (WHERE became = 'dead'), count(*) FILTER (WHERE became = 'cancelled')
    FROM applied WHERE became <> 'pending' GROUP BY 1
)
-- What is not in the answer is stale.
SELECT n, became = 'cancelled' AND become <> 'cancelled' AS is_cancelled FROM applied

-- What was delivered or cancelled goes back into the queue; the attempt that ended it goes to the log.
WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_archive q USING picked p WHERE q.id = p.id
    RETURNING q.*, p.is_blocked
), logged AS (
    INSERT INTO @.webhook_attempts (delivery_id, token, started_at, duration_us, number, status,
        ambiguous, failure, response, response_headers)
    SELECT id, token, started_at, duration_us, number, last_status, false, last_failure,
        coalesce(response, ''), response_headers
    FROM gone WHERE started_at IS NOT NULL
), changed AS (
    INSERT INTO @.webhook_queue AS q (id, endpoint_id, event_id, sort_key, token, incarnation, created_at,
        queued_at, updated_at, next_retry_at, attempts, max_retries, priority, is_ready, by_name,
        is_apart, in_line, holds, status, event_type, tenant, order_key)
    SELECT g.id, g.endpoint_id, g.event_id, ({sort_keys}::bigint[])[e.priority + 1], g.token,
        g.incarnation, e.created_at, {now}::timestamptz, {now}, {now}, 0, e.max_retries, e.priority, NOT g.is_blocked,
        g.by_name, g.is_apart, g.order_key IS NOT NULL, g.holds, CASE WHEN g.is_blocked THEN 'blocked' ELSE 'pending' END, e.event_type, e.tenant,
        g.order_key
    FROM gone g JOIN @.webhook_events e ON e.id = g.event_id
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, delivered, cancelled)
    SELECT endpoint_id, -count(*) FILTER (WHERE status = 'delivered'),
        -count(*) FILTER (WHERE status = 'cancelled')
    FROM gone GROUP BY 1
)
SELECT count(*) AS changed FROM gone

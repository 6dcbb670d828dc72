-- $1 the event, $2 the delivery, $3 the endpoint, $4 its incarnation or NULL for any, $5 flags as those
-- of an enqueue, $6 its order, $7 now, $8 the sort keys of now by priority. All of it is locked.
WITH event AS MATERIALIZED (
    SELECT *, payload IS NULL AS is_erased FROM @.webhook_events WHERE id = $1::uuid
), live AS MATERIALIZED (
    SELECT id, incarnation FROM @.webhook_endpoints
    WHERE id = $3::text AND deleted_at IS NULL AND coalesce(incarnation = $4::bigint, true)
), there AS MATERIALIZED (
    SELECT q.id FROM live CROSS JOIN LATERAL (
        SELECT id FROM @.webhook_queue
        WHERE id BETWEEN @.webhook_first_id($1) AND @.webhook_last_id($1) AND event_id = $1
            AND endpoint_id = live.id AND incarnation = live.incarnation
        UNION ALL
        SELECT id FROM @.webhook_archive
        WHERE id BETWEEN @.webhook_first_id($1) AND @.webhook_last_id($1) AND event_id = $1
            AND endpoint_id = live.id AND incarnation = live.incarnation
        UNION ALL
        SELECT id FROM @.webhook_queue WHERE is_apart AND event_id = $1
            AND endpoint_id = live.id AND incarnation = live.incarnation
        UNION ALL
        SELECT id FROM @.webhook_archive WHERE is_apart AND event_id = $1
            AND endpoint_id = live.id AND incarnation = live.incarnation
        UNION ALL
        -- The id may be that of another delivery, which stays what it is.
        SELECT id FROM @.webhook_queue WHERE id = $2::uuid
        UNION ALL
        SELECT id FROM @.webhook_archive WHERE id = $2
    ) q LIMIT 1
), stored AS (
    INSERT INTO @.webhook_queue (id, endpoint_id, event_id, sort_key, token, created_at,
        queued_at, updated_at, next_retry_at, attempts, max_retries, priority, is_ready, status,
        event_type, tenant, incarnation, by_name, is_apart, holds, order_key, in_line)
    SELECT $2, live.id, e.id, ($8::bigint[])[e.priority + 1], 0, e.created_at, $7::timestamptz, $7,
        greatest(e.due_at, $7), 0, e.max_retries, e.priority,
        e.due_at <= $7 AND NOT line.is_there, CASE WHEN line.is_there THEN 'blocked' ELSE 'pending' END,
        e.event_type, e.tenant, live.incarnation, $5::smallint & 1 <> 0, $5 & 4 <> 0, $5 & 8 <> 0,
        $6, $6::text IS NOT NULL
    FROM event e CROSS JOIN live CROSS JOIN LATERAL (
        SELECT $6::text IS NOT NULL AND EXISTS (SELECT FROM @.webhook_queue q
            WHERE q.in_line AND q.endpoint_id = live.id AND q.order_key = $6
                AND q.incarnation = live.incarnation) AS is_there
    ) line
    WHERE NOT e.is_erased AND NOT EXISTS (SELECT FROM there)
)
SELECT CASE WHEN NOT EXISTS (SELECT FROM event) THEN 'no_event'
    WHEN (SELECT is_erased FROM event) THEN 'erased'
    WHEN NOT EXISTS (SELECT FROM live) THEN 'missing'
    WHEN EXISTS (SELECT FROM there) THEN 'exists' ELSE 'stored' END AS answer,
    (SELECT id FROM there) AS id

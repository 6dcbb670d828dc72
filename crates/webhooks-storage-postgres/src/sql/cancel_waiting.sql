WITH picked AS MATERIALIZED (
    -- One branch for each of the two partial indexes.
    SELECT id FROM (
        SELECT id FROM @.webhook_queue
        WHERE endpoint_id = $1::text AND status = 'pending' AND is_ready
        LIMIT $2::bigint FOR UPDATE
    ) ready
    UNION ALL
    SELECT id FROM (
        SELECT id FROM @.webhook_queue
        WHERE endpoint_id = $1 AND status = 'pending' AND NOT is_ready
        LIMIT $2 FOR UPDATE
    ) scheduled
    LIMIT $2
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked)) AND q.status = 'pending'
        AND EXISTS (
            SELECT FROM @.webhook_endpoints WHERE id = $1 AND deleted_at IS NOT NULL)
    RETURNING q.*
), archived AS (
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, created_at, updated_at,
        next_retry_at, attempts, max_retries, crashes, priority, status, event_type, tenant,
        payload)
    SELECT id, endpoint_id, event_id, created_at, $3::timestamptz, next_retry_at, attempts,
        max_retries, crashes, priority, 'cancelled', event_type, tenant, payload
    FROM gone
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, cancelled)
    SELECT endpoint_id, count(*) FROM gone GROUP BY 1
)
SELECT count(*) AS cancelled FROM gone

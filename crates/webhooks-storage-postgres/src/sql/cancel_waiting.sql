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
    RETURNING q.*, q.payload AS kept_payload
), {cancelled}
SELECT count(*) AS cancelled FROM gone

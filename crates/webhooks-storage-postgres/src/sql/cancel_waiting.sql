-- What waits for an endpoint that is deleted, or for an earlier incarnation of one that is there.
WITH endpoint AS MATERIALIZED (
    SELECT incarnation, deleted_at IS NOT NULL AS is_deleted
    FROM @.webhook_endpoints WHERE id = $1::text
), picked AS MATERIALIZED (
    -- One branch for each of the three partial indexes.
    SELECT id FROM (
        SELECT id FROM @.webhook_queue
        WHERE endpoint_id = $1 AND status = 'pending' AND is_ready
            AND ((SELECT is_deleted FROM endpoint)
                OR incarnation <> (SELECT incarnation FROM endpoint))
        LIMIT $2::bigint FOR UPDATE
    ) ready
    UNION ALL
    SELECT id FROM (
        SELECT id FROM @.webhook_queue
        WHERE endpoint_id = $1 AND status = 'pending' AND NOT is_ready
            AND ((SELECT is_deleted FROM endpoint)
                OR incarnation <> (SELECT incarnation FROM endpoint))
        LIMIT $2 FOR UPDATE
    ) scheduled
    UNION ALL
    SELECT id FROM (
        SELECT id FROM @.webhook_queue
        WHERE endpoint_id = $1 AND status = 'blocked' AND in_line
            AND ((SELECT is_deleted FROM endpoint)
                OR incarnation <> (SELECT incarnation FROM endpoint))
        LIMIT $2 FOR UPDATE
    ) blocked
    LIMIT $2
), gone AS (
    -- It may have been registered again meanwhile, which gives what is new another incarnation.
    DELETE FROM @.webhook_queue q USING endpoint e
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked)) AND q.status IN ('pending', 'blocked')
    RETURNING q.*,
        CASE WHEN e.is_deleted THEN 'endpoint_deleted' ELSE 'endpoint_replaced' END AS kept_reason
), {cancelled}
SELECT count(*) AS cancelled FROM gone

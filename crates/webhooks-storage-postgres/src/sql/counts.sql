-- $1 one endpoint, or NULL for all. What waits is counted where it waits.
WITH waiting AS (
    SELECT endpoint_id, count(*) AS ready, 0 AS scheduled, 0 AS leased, 0 AS blocked
    FROM @.webhook_queue WHERE status = 'pending' AND is_ready AND endpoint_id = $1::text
    GROUP BY 1
    UNION ALL
    SELECT endpoint_id, 0, count(*), 0, 0
    FROM @.webhook_queue WHERE status = 'pending' AND NOT is_ready AND endpoint_id = $1
    GROUP BY 1
    UNION ALL
    SELECT endpoint_id, 0, 0, count(*), 0
    FROM @.webhook_queue WHERE status = 'processing' AND endpoint_id = $1
    GROUP BY 1
    UNION ALL
    SELECT endpoint_id, 0, 0, 0, count(*)
    FROM @.webhook_queue WHERE status = 'blocked' AND in_line AND endpoint_id = $1
    GROUP BY 1
)
SELECT
    t.delivered, t.dead, t.cancelled, t.purged, w.blocked, w.ready,
    w.scheduled, w.leased, w.suspended
FROM (
    SELECT coalesce(sum(ready), 0)::bigint AS ready,
        coalesce(sum(scheduled), 0)::bigint AS scheduled,
        coalesce(sum(leased), 0)::bigint AS leased,
        coalesce(sum(blocked), 0)::bigint AS blocked,
        coalesce(sum(ready + scheduled + blocked) FILTER (
            WHERE NOT e.enabled OR e.paused OR e.deleted_at IS NOT NULL), 0)::bigint AS suspended
    FROM waiting JOIN @.webhook_endpoints e ON e.id = waiting.endpoint_id
) w, (
    SELECT coalesce(sum(delivered), 0)::bigint AS delivered,
        coalesce(sum(dead), 0)::bigint AS dead,
        coalesce(sum(cancelled), 0)::bigint AS cancelled,
        coalesce(sum(purged), 0)::bigint AS purged
    FROM (
        SELECT delivered, dead, cancelled, purged FROM @.webhook_totals WHERE endpoint_id = $1
        UNION ALL
        SELECT delivered, dead, cancelled, purged FROM @.webhook_totals_added
        WHERE endpoint_id = $1
    ) both_tables
) t

WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked))
        AND {now}::timestamptz IS NOT NULL
    RETURNING q.endpoint_id
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, dead, purged)
    SELECT endpoint_id, -count(*), count(*)
    FROM gone GROUP BY 1
)
SELECT count(*) AS changed FROM gone

WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked))
        AND {now}::timestamptz IS NOT NULL
    RETURNING q.endpoint_id
), totals AS (
    INSERT INTO @.webhook_totals AS t (endpoint_id, shard, dead, purged)
    SELECT endpoint_id, pg_backend_pid() % 16, -count(*), count(*)
    FROM gone GROUP BY 1 ORDER BY 1
    ON CONFLICT (endpoint_id, shard) DO UPDATE SET
        dead = t.dead + excluded.dead, purged = t.purged + excluded.purged
)
SELECT count(*) AS changed FROM gone

WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_archive q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked)) AND {now}::timestamptz IS NOT NULL
    RETURNING 1
)
SELECT count(*) AS changed FROM gone

WITH picked AS MATERIALIZED (
    {picked}
), changed AS (
    UPDATE @.webhook_archive q SET payload = NULL
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked)) AND q.payload IS NOT NULL
        AND {now}::timestamptz IS NOT NULL
    RETURNING 1
)
SELECT count(*) AS changed FROM changed

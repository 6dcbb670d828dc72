WITH picked AS MATERIALIZED (
    {picked}
), changed AS (
    UPDATE @.webhook_archive q SET is_erased = true
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked)) AND NOT q.is_erased
        AND {now}::timestamptz IS NOT NULL
    RETURNING 1
)
SELECT count(*) AS changed FROM changed

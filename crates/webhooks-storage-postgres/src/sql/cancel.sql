WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked)) AND q.status IN ('pending', 'blocked')
    RETURNING q.*, 'by_hand' AS kept_reason
), {cancelled}
SELECT count(*) AS changed FROM gone

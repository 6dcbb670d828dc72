-- One statement for all that is in the queue, since rows go back and forth between waiting and leased:
-- each is judged as it is once it is locked.
WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status = 'pending'))
    RETURNING q.*, NULL::json AS kept_payload, 'erased' AS kept_reason
), {cancelled}, changed AS (
    UPDATE @.webhook_queue q SET payload = NULL
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status <> 'pending'))
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed) AS changed

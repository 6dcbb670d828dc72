-- One statement for all that is in the queue, since rows go back and forth between waiting and leased:
-- each is judged as it is once it is locked.
WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status IN ('pending', 'blocked')))
    RETURNING q.*, 'erased' AS kept_reason
), {cancelled}, changed AS (
    -- What is dead and erased cannot be replayed, and so holds nothing any more.
    UPDATE @.webhook_queue q SET is_erased = true, in_line = q.in_line AND q.status <> 'dead'
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status NOT IN ('pending', 'blocked')))
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed) AS changed

-- $1 deliveries in the queue whose events are erased, $2 now.
WITH picked AS MATERIALIZED (
    SELECT id, status FROM @.webhook_queue WHERE id = ANY ($1::uuid[]) ORDER BY id DESC FOR UPDATE
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status IN ('pending', 'blocked')))
    RETURNING q.*, 'erased' AS kept_reason
), {cancelled}
UPDATE @.webhook_queue q SET is_erased = true, in_line = q.in_line AND q.status <> 'dead'
WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status NOT IN ('pending', 'blocked')))
    AND NOT q.is_erased

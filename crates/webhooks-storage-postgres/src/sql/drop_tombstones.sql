-- Tombstones that nothing refers to and that every node has had the time to see; what they counted
-- goes under the empty id.
WITH picked AS MATERIALIZED (
    SELECT e.id FROM @.webhook_endpoints e
    WHERE e.deleted_at <= $1::timestamptz
        AND NOT EXISTS (SELECT FROM @.webhook_archive a WHERE a.endpoint_id = e.id)
        AND NOT EXISTS (SELECT FROM @.webhook_queue q
            WHERE q.endpoint_id = e.id AND q.status = 'pending' AND q.is_ready)
        AND NOT EXISTS (SELECT FROM @.webhook_queue q
            WHERE q.endpoint_id = e.id AND q.status = 'pending' AND NOT q.is_ready)
        AND NOT EXISTS (SELECT FROM @.webhook_queue q
            WHERE q.endpoint_id = e.id AND q.status = 'processing')
        AND NOT EXISTS (SELECT FROM @.webhook_queue q
            WHERE q.endpoint_id = e.id AND q.status = 'dead')
        AND NOT EXISTS (SELECT FROM @.webhook_queue q WHERE q.endpoint_id = e.id AND q.in_line)
    ORDER BY e.id LIMIT 10 FOR UPDATE OF e SKIP LOCKED
), gone AS (
    DELETE FROM @.webhook_endpoints WHERE id = ANY (ARRAY(SELECT id FROM picked))
), unordered AS (
    DELETE FROM @.webhook_orders WHERE endpoint_id = ANY (ARRAY(SELECT id FROM picked))
), counted AS (
    DELETE FROM @.webhook_totals WHERE endpoint_id = ANY (ARRAY(SELECT id FROM picked))
    RETURNING delivered, dead, cancelled, purged
)
INSERT INTO @.webhook_totals_added (endpoint_id, delivered, dead, cancelled, purged)
SELECT '', sum(delivered), sum(dead), sum(cancelled), sum(purged) FROM counted
HAVING count(*) > 0

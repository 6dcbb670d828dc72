-- What has become due, from the lower bound on: what is below was promoted before, and its dead
-- index entries are not looked at again. The rows are locked where they are chosen; to repeat the
-- conditions outside would let the planner walk the index of all that is scheduled.
WITH promoted AS (
UPDATE @.webhook_queue q SET is_ready = true, updated_at = $1::timestamptz
WHERE q.id = ANY (ARRAY(
    SELECT id FROM @.webhook_queue
    WHERE status = 'pending' AND NOT is_ready AND next_retry_at <= $1
        AND next_retry_at >= $2::timestamptz
    ORDER BY next_retry_at LIMIT $3::bigint FOR UPDATE SKIP LOCKED
))
    RETURNING q.endpoint_id, q.sort_key
)
SELECT endpoint_id, min(sort_key) AS sort_key FROM promoted GROUP BY 1

-- $1 worker, $2 behind which id, $3 at most. First the worker's own, by the index of what is leased: else
-- the planner may walk all rows in the order of their ids.
WITH held AS MATERIALIZED (
    SELECT id, endpoint_id, token FROM @.webhook_queue
    WHERE status = 'processing' AND worker = $1::text AND id > $2::uuid
)
SELECT id, endpoint_id, token FROM held ORDER BY id LIMIT $3::bigint

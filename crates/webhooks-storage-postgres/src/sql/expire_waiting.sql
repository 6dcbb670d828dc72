-- $1 the cutoff, $2 the same in milliseconds, $3 limit, $4 now. A row's key is never later than
-- the time it was sent at, so only the first rows of each endpoint need a look.
WITH RECURSIVE ring AS (
    (SELECT endpoint_id AS id FROM @.webhook_queue
        WHERE status = 'pending' AND is_ready ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.endpoint_id FROM @.webhook_queue q
        WHERE q.status = 'pending' AND q.is_ready AND q.endpoint_id > r.id
        ORDER BY q.endpoint_id LIMIT 1)
    FROM ring r WHERE r.id IS NOT NULL
), picked AS MATERIALIZED (
    SELECT q.id FROM ring r CROSS JOIN LATERAL (
        SELECT id FROM @.webhook_queue
        WHERE endpoint_id = r.id AND status = 'pending' AND is_ready AND sort_key <= $2::bigint
            AND greatest(queued_at, next_retry_at) <= $1::timestamptz
        ORDER BY sort_key LIMIT $3::bigint FOR UPDATE SKIP LOCKED
    ) q
    UNION ALL
    SELECT id FROM (
        SELECT id FROM @.webhook_queue
        WHERE status = 'pending' AND NOT is_ready AND next_retry_at <= $1 AND queued_at <= $1
        ORDER BY next_retry_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ) scheduled
    UNION ALL
    SELECT id FROM (
        SELECT id FROM @.webhook_queue
        WHERE status = 'blocked' AND next_retry_at <= $1 AND queued_at <= $1
        ORDER BY queued_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ) blocked
    LIMIT $3
), dead AS (
    UPDATE @.webhook_queue q SET
        status = 'dead', is_ready = false, in_line = false, dead_reason = 'expired',
        updated_at = $4::timestamptz
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked)) AND q.status IN ('pending', 'blocked')
    RETURNING q.endpoint_id
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, dead)
    SELECT endpoint_id, count(*) FROM dead GROUP BY 1
)
SELECT count(*) AS n FROM dead

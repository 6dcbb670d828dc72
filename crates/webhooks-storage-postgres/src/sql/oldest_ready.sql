-- $1 now. Of each endpoint with something ready its first one, and the first that has become due since.
WITH RECURSIVE ring AS (
    (SELECT endpoint_id AS id FROM @.webhook_queue
        WHERE status = 'pending' AND is_ready ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.endpoint_id FROM @.webhook_queue q
        WHERE q.status = 'pending' AND q.is_ready AND q.endpoint_id > r.id
        ORDER BY q.endpoint_id LIMIT 1)
    FROM ring r WHERE r.id IS NOT NULL
)
SELECT least(
    (SELECT min(first.at) FROM ring r
        JOIN @.webhook_endpoints e ON e.id = r.id
        CROSS JOIN LATERAL (
            SELECT q.next_retry_at AS at FROM @.webhook_queue q
            WHERE q.endpoint_id = e.id AND q.status = 'pending' AND q.is_ready
                AND q.incarnation = e.incarnation
            ORDER BY q.sort_key, q.seq LIMIT 1
        ) first
        WHERE e.enabled AND NOT e.paused AND e.deleted_at IS NULL),
    (SELECT q.next_retry_at FROM @.webhook_queue q
        JOIN @.webhook_endpoints e ON e.id = q.endpoint_id AND e.incarnation = q.incarnation
        WHERE q.status = 'pending' AND NOT q.is_ready AND q.next_retry_at <= $1::timestamptz
            AND e.enabled AND NOT e.paused AND e.deleted_at IS NULL
        ORDER BY q.next_retry_at LIMIT 1)
) AS at

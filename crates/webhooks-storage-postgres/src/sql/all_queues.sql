after AS (
    -- Endpoints with something ready, each found by one descent of the index.
    (SELECT endpoint_id AS id FROM @.webhook_queue
        WHERE status = 'pending' AND is_ready AND endpoint_id > $8::text
        ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.endpoint_id FROM @.webhook_queue q
        WHERE q.status = 'pending' AND q.is_ready AND q.endpoint_id > a.id
        ORDER BY q.endpoint_id LIMIT 1)
    FROM after a WHERE a.id IS NOT NULL
), before AS (
    (SELECT endpoint_id AS id FROM @.webhook_queue
        WHERE status = 'pending' AND is_ready AND endpoint_id <= $8
        ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.endpoint_id FROM @.webhook_queue q
        WHERE q.status = 'pending' AND q.is_ready AND q.endpoint_id > b.id
            AND q.endpoint_id <= $8
        ORDER BY q.endpoint_id LIMIT 1)
    FROM before b WHERE b.id IS NOT NULL
), queue AS (
    SELECT id, -9223372036854775808 AS floor
    FROM (SELECT id FROM after UNION ALL SELECT id FROM before) each
    WHERE id IS NOT NULL
)

-- $1 events. How many of their deliveries are in each state.
SELECT event_id, state, count(*) AS count FROM (
    SELECT q.event_id, q.id, q.state FROM unnest($1::uuid[]) AS e (id)
    CROSS JOIN LATERAL (
        SELECT id, event_id, CASE status WHEN 'processing' THEN 'leased'
            WHEN 'pending' THEN CASE WHEN is_ready THEN 'ready' ELSE 'scheduled' END
            ELSE status END AS state
        FROM @.webhook_queue
        WHERE id BETWEEN @.webhook_first_id(e.id) AND @.webhook_last_id(e.id) AND NOT is_apart
        UNION ALL
        SELECT id, event_id, status FROM @.webhook_archive
        WHERE id BETWEEN @.webhook_first_id(e.id) AND @.webhook_last_id(e.id) AND NOT is_apart
    ) q WHERE q.event_id = e.id
    UNION ALL
    SELECT event_id, id, CASE status WHEN 'processing' THEN 'leased'
        WHEN 'pending' THEN CASE WHEN is_ready THEN 'ready' ELSE 'scheduled' END
        ELSE status END
    FROM @.webhook_queue WHERE is_apart AND event_id = ANY ($1)
    UNION ALL
    SELECT event_id, id, status FROM @.webhook_archive WHERE is_apart AND event_id = ANY ($1)
) each GROUP BY 1, 2

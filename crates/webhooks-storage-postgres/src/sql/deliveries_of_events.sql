-- $1 events. Their deliveries: those that share their millisecond, and the others.
SELECT q.id FROM unnest($1::uuid[]) AS e (id)
CROSS JOIN LATERAL (
    SELECT id, event_id FROM @.webhook_queue
    WHERE id BETWEEN @.webhook_first_id(e.id) AND @.webhook_last_id(e.id)
    UNION ALL
    SELECT id, event_id FROM @.webhook_archive
    WHERE id BETWEEN @.webhook_first_id(e.id) AND @.webhook_last_id(e.id)
) q WHERE q.event_id = e.id
UNION
SELECT id FROM @.webhook_queue WHERE is_apart AND event_id = ANY ($1)
UNION
SELECT id FROM @.webhook_archive WHERE is_apart AND event_id = ANY ($1)

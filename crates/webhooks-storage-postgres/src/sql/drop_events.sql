-- $1 events that are locked.
DELETE FROM @.webhook_events v WHERE v.id = ANY ($1::uuid[])
    AND NOT EXISTS (SELECT FROM @.webhook_queue q
        WHERE q.id BETWEEN @.webhook_first_id(v.id) AND @.webhook_last_id(v.id) AND q.event_id = v.id)
    AND NOT EXISTS (SELECT FROM @.webhook_archive q
        WHERE q.id BETWEEN @.webhook_first_id(v.id) AND @.webhook_last_id(v.id) AND q.event_id = v.id)
    AND NOT EXISTS (SELECT FROM @.webhook_queue q WHERE q.is_apart AND q.event_id = v.id)
    AND NOT EXISTS (SELECT FROM @.webhook_archive q WHERE q.is_apart AND q.event_id = v.id)
    AND NOT EXISTS (SELECT FROM @.webhook_fan_outs f WHERE f.event_id = v.id)

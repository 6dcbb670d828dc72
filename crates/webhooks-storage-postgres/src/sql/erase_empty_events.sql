-- $1 deliveries that were just erased. Locked first: a delivery that is made meanwhile waits.
WITH event AS MATERIALIZED (
    SELECT e.id FROM @.webhook_events e
    WHERE e.payload IS NOT NULL AND e.id IN (
        SELECT event_id FROM @.webhook_queue WHERE id = ANY ($1::uuid[])
        UNION SELECT event_id FROM @.webhook_archive WHERE id = ANY ($1))
        AND NOT EXISTS (SELECT FROM @.webhook_fan_outs f WHERE f.event_id = e.id)
    ORDER BY e.id FOR UPDATE
)
UPDATE @.webhook_events e SET payload = NULL, payload_bytes = 0
FROM event v
WHERE e.id = v.id
    AND NOT EXISTS (SELECT FROM @.webhook_queue q
        WHERE q.id BETWEEN @.webhook_first_id(v.id) AND @.webhook_last_id(v.id)
            AND q.event_id = v.id AND NOT q.is_erased)
    AND NOT EXISTS (SELECT FROM @.webhook_archive q
        WHERE q.id BETWEEN @.webhook_first_id(v.id) AND @.webhook_last_id(v.id)
            AND q.event_id = v.id AND NOT q.is_erased)
    AND NOT EXISTS (SELECT FROM @.webhook_queue q
        WHERE q.is_apart AND q.event_id = v.id AND NOT q.is_erased)
    AND NOT EXISTS (SELECT FROM @.webhook_archive q
        WHERE q.is_apart AND q.event_id = v.id AND NOT q.is_erased)

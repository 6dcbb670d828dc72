-- Ends the fan-outs of events that match: $1 the event, $2 its type, $3 its tenant, $4 from, $5 and $6
-- before when it was sent.
DELETE FROM @.webhook_fan_outs
WHERE ($1::uuid IS NULL OR event_id = $1)
    AND ($2::text IS NULL OR event_type = $2)
    AND ($3::text IS NULL OR tenant = $3)
    AND ($4::timestamptz IS NULL OR created_at >= $4)
    AND ($5::timestamptz IS NULL OR created_at < $5)
    AND ($6::timestamptz IS NULL OR created_at < $6)

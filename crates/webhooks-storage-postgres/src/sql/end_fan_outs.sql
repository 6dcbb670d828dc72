-- Ends the fan-outs of events that match.
DELETE FROM @.webhook_fan_outs f USING @.webhook_events e
WHERE e.id = f.event_id AND {matches}

SELECT f.event_id, f.idempotency_key, f.up_to, e.created_at, e.due_at, e.max_retries, e.priority,
    e.event_type, e.tenant, e.ordering_key, e.traceparent, e.tracestate, e.payload
FROM @.webhook_fan_outs f JOIN @.webhook_events e ON e.id = f.event_id
WHERE f.moved_at <= $1::timestamptz ORDER BY f.event_id LIMIT $2::bigint

-- $1 the event, $2 why, $3 now. Another node may have taken it, or may be taking it.
WITH gone AS (
    DELETE FROM @.webhook_outbox WHERE id = $1::uuid RETURNING *
)
INSERT INTO @.webhook_outbox_refused (id, event_type, data, tenant, idempotency_key, priority, max_retries,
        created_at, due_at, ordering_key, traceparent, tracestate, refused_at, reason)
SELECT id, event_type, data, tenant, idempotency_key, priority, max_retries,
        created_at, due_at, ordering_key, traceparent, tracestate, $3::timestamptz, left($2::text, 1000) FROM gone

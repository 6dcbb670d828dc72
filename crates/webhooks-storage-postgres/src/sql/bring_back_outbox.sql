-- $1 the time up to which they were set aside, $2 events at most.
WITH back AS (
    DELETE FROM @.webhook_outbox_refused WHERE id = ANY (ARRAY(
        SELECT id FROM @.webhook_outbox_refused
        WHERE refused_at <= $1::timestamptz
        ORDER BY refused_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
    RETURNING *
)
INSERT INTO @.webhook_outbox (id, event_type, data, tenant, idempotency_key, priority, max_retries,
        created_at, due_at, ordering_key, traceparent, tracestate)
SELECT id, event_type, data, tenant, idempotency_key, priority, max_retries,
        created_at, due_at, ordering_key, traceparent, tracestate FROM back

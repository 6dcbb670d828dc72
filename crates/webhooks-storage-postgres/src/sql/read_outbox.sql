-- $1 events at most, and $2 bytes of data together but for the first: one step for each, so that no
-- more data is read than that and one event.
WITH RECURSIVE read AS (
    (SELECT id, octet_length(data::text)::bigint AS bytes, 1::bigint AS n
    FROM @.webhook_outbox WHERE $1::bigint > 0 ORDER BY id LIMIT 1)
    UNION ALL
    SELECT next.id, r.bytes + next.bytes, r.n + 1
    FROM read r CROSS JOIN LATERAL (
        SELECT o.id, octet_length(o.data::text)::bigint AS bytes
        FROM @.webhook_outbox o WHERE o.id > r.id AND r.n < $1 AND r.bytes < $2::bigint
        ORDER BY o.id LIMIT 1) next
    WHERE r.bytes + next.bytes <= $2
)
SELECT o.id, o.event_type, o.data, o.tenant, o.idempotency_key, o.priority, o.max_retries,
    o.created_at, o.due_at, o.ordering_key, o.traceparent, o.tracestate, date_trunc('milliseconds', clock_timestamp()) AS now
FROM read r JOIN @.webhook_outbox o ON o.id = r.id ORDER BY o.id

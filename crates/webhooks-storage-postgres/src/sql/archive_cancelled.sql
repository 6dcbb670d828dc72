archived AS (
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, created_at, updated_at,
        next_retry_at, attempts, max_retries, crashes, priority, status, event_type, tenant,
        cancel_reason, payload)
    SELECT id, endpoint_id, event_id, created_at, {now}::timestamptz, next_retry_at, attempts,
        max_retries, crashes, priority, 'cancelled', event_type, tenant,
        kept_reason, kept_payload
    FROM gone
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, cancelled)
    SELECT endpoint_id, count(*) FROM gone GROUP BY 1
)

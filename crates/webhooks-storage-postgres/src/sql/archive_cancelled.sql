archived AS (
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, token, incarnation, by_name, is_apart,
        is_erased, order_key, holds, tenant, updated_at, next_retry_at, attempts, crashes, status,
        cancel_reason, last_status, last_failure)
    SELECT id, endpoint_id, event_id, token, incarnation, by_name, is_apart, is_erased OR kept_reason = 'erased', order_key,
        holds, tenant, {now}::timestamptz, next_retry_at, attempts, crashes, 'cancelled', kept_reason,
        last_status, last_failure
    FROM gone
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, cancelled)
    SELECT endpoint_id, count(*) FROM gone GROUP BY 1
)

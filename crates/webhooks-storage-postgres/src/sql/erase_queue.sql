-- One statement for all that is in the queue, since rows go back and forth between waiting and leased:
-- each is judged as it is once it is locked.
WITH picked AS MATERIALIZED (
    {picked}
), gone AS (
    DELETE FROM @.webhook_queue q
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status = 'pending'))
    RETURNING q.*
), archived AS (
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, created_at, updated_at,
        next_retry_at, attempts, max_retries, crashes, priority, status, event_type, tenant,
        payload)
    SELECT id, endpoint_id, event_id, created_at, {now}::timestamptz, next_retry_at, attempts,
        max_retries, crashes, priority, 'cancelled', event_type, tenant, NULL
    FROM gone
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, cancelled)
    SELECT endpoint_id, count(*) FROM gone GROUP BY 1
), changed AS (
    UPDATE @.webhook_queue q SET payload = NULL
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked WHERE status <> 'pending'))
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed) AS changed

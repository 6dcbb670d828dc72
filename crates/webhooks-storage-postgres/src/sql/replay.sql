WITH picked AS MATERIALIZED (
    {picked}
), changed AS (
    UPDATE @.webhook_queue q SET
        -- What holds its order goes on at its old place, and all else with an order at the end of it.
        status = CASE WHEN p.is_blocked AND NOT q.in_line THEN 'blocked' ELSE 'pending' END, is_ready = NOT p.is_blocked OR q.in_line, in_line = q.order_key IS NOT NULL,
        dead_reason = NULL, attempts = 0, crashes = 0, last_status = NULL, last_failure = NULL,
        -- As if sent now: it goes behind what waits, and its retention begins again.
        sort_key = ({sort_keys}::bigint[])[q.priority + 1],
        {place}
        queued_at = {now}::timestamptz, next_retry_at = {now}, updated_at = {now}
    FROM picked p WHERE q.id = p.id
    RETURNING q.endpoint_id
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, dead)
    SELECT endpoint_id, -count(*) FROM changed GROUP BY 1
)
SELECT count(*) AS changed FROM changed

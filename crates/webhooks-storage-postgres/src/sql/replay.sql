WITH picked AS MATERIALIZED (
    {picked}
), changed AS (
    UPDATE @.webhook_queue q SET
        status = 'pending', is_ready = true, dead_reason = NULL, attempts = 0, crashes = 0,
        -- As if sent now: it goes behind what waits, and its retention begins again.
        sort_key = ({sort_keys}::bigint[])[q.priority + 1],
        seq = DEFAULT,
        queued_at = {now}::timestamptz, next_retry_at = {now}, updated_at = {now}
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked))
    RETURNING q.endpoint_id
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, dead)
    SELECT endpoint_id, -count(*) FROM changed GROUP BY 1
)
SELECT count(*) AS changed FROM changed

WITH picked AS MATERIALIZED (
    {picked}
), changed AS (
    UPDATE @.webhook_queue q SET
        status = 'pending', is_ready = true, dead_reason = NULL, attempts = 0, crashes = 0,
        -- As if sent now: it goes behind what waits, and its retention begins again.
        sort_key = (extract(epoch FROM {now}::timestamptz) * 1000)::bigint - q.priority * 600000,
        seq = nextval(pg_get_serial_sequence('@.webhook_queue', 'seq')),
        queued_at = {now}, next_retry_at = {now}, updated_at = {now}
    WHERE q.id = ANY (ARRAY(SELECT id FROM picked))
    RETURNING q.endpoint_id
), totals AS (
    INSERT INTO @.webhook_totals AS t (endpoint_id, shard, dead)
    SELECT endpoint_id, pg_backend_pid() % 16, -count(*) FROM changed GROUP BY 1 ORDER BY 1
    ON CONFLICT (endpoint_id, shard) DO UPDATE SET dead = t.dead + excluded.dead
)
SELECT count(*) AS changed FROM changed

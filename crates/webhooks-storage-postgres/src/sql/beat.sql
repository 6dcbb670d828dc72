-- $1 worker, $2 the time to use instead of the clock, $3 the milliseconds of silence after which a
-- worker is dead. Silence counts from the start of the server at the earliest, so that its restart makes
-- nobody look dead.
WITH clock AS MATERIALIZED (
    SELECT coalesce($2::timestamptz, date_trunc('milliseconds', clock_timestamp())) AS now,
        $3::bigint * interval '1 millisecond' AS dead_after
), beaten AS (
    INSERT INTO @.webhook_workers AS w (id, seen_at)
    SELECT $1::text, now FROM clock WHERE $1 IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET
        seen_at = excluded.seen_at, seen_before = w.seen_at,
        given_up = false, was_lost = w.given_up
    RETURNING seen_before, was_lost
)
SELECT c.now, r.revision, coalesce(b.was_lost, false) AS lost,
    b.seen_before AS before,
    coalesce(NOT b.was_lost AND c.now - greatest(b.seen_before, pg_postmaster_start_time())
        < c.dead_after AND b.seen_before IS NOT NULL, false) AS in_a_row,
    EXISTS (SELECT FROM @.webhook_workers d WHERE d.seen_at < c.now - c.dead_after)
        AS silent,
    EXISTS (SELECT FROM @.webhook_workers d WHERE d.seen_at < c.now - c.dead_after
        AND NOT d.given_up) AS newly_silent,
    EXISTS (SELECT FROM @.webhook_outbox) OR EXISTS (SELECT FROM @.webhook_fan_outs) AS outbox
FROM clock c CROSS JOIN @.webhook_revision r LEFT JOIN beaten b ON true

-- $1 now, $2 the time since when a worker is silent that is dead, $3 the crashes that make a delivery
-- poison, $4 deliveries at most.
WITH unknown AS (
    -- Who leases and never beat is silent since its last lease.
    SELECT worker AS id, max(updated_at) AS seen_at FROM @.webhook_queue
    WHERE status = 'processing'
        AND NOT EXISTS (SELECT FROM @.webhook_workers w WHERE w.id = worker)
    GROUP BY worker
), met AS (
    INSERT INTO @.webhook_workers (id, seen_at) SELECT id, seen_at FROM unknown ORDER BY id
    ON CONFLICT DO NOTHING
), silent AS MATERIALIZED (
    -- Whoever beats meanwhile waits for this lock, or is not silent once it is had.
    SELECT id FROM @.webhook_workers
    WHERE greatest(seen_at, pg_postmaster_start_time()) <= $2::timestamptz
    FOR UPDATE SKIP LOCKED
), given_up AS (
    UPDATE @.webhook_workers SET given_up = true
    WHERE id IN (SELECT id FROM silent) AND NOT given_up
), orphan AS MATERIALIZED (
    SELECT q.id, q.endpoint_id, q.incarnation, q.is_erased
    FROM @.webhook_queue q
    WHERE q.status = 'processing' AND q.worker = ANY (ARRAY(SELECT id FROM silent))
    LIMIT $4::bigint FOR UPDATE SKIP LOCKED
), live AS MATERIALIZED (
    SELECT e.id, e.incarnation FROM @.webhook_endpoints e
    WHERE e.id IN (SELECT endpoint_id FROM orphan) AND e.deleted_at IS NULL
    ORDER BY e.id FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT o.id, CASE WHEN o.is_erased THEN 'erased' WHEN l.id IS NULL THEN 'endpoint_deleted'
        WHEN l.incarnation <> o.incarnation THEN 'endpoint_replaced' END AS stranded
    FROM orphan o LEFT JOIN live l ON l.id = o.endpoint_id
), kept AS (
    UPDATE @.webhook_queue q SET
        crashes = q.crashes + 1,
        status = CASE WHEN q.crashes + 1 >= $3::integer THEN 'dead' ELSE 'pending' END,
        dead_reason = CASE WHEN q.crashes + 1 >= $3 THEN 'poison' END,
        is_ready = q.crashes + 1 < $3,
        in_line = q.in_line AND (q.crashes + 1 < $3 OR q.holds),
        next_retry_at = least(q.next_retry_at, $1::timestamptz), worker = NULL, updated_at = $1
    WHERE q.id = ANY (ARRAY(SELECT id FROM judged WHERE stranded IS NULL)) AND q.status = 'processing'
    RETURNING q.endpoint_id, q.status = 'dead' AS is_dead
), gone AS (
    DELETE FROM @.webhook_queue q USING judged j
    WHERE q.id = j.id AND j.stranded IS NOT NULL AND q.status = 'processing'
    RETURNING q.*, j.stranded AS kept_reason
), archived AS (
    INSERT INTO @.webhook_archive (id, endpoint_id, event_id, token, incarnation, by_name, is_apart,
        is_erased, order_key, holds, tenant, updated_at, next_retry_at, attempts, crashes, status,
        cancel_reason, last_status, last_failure)
    SELECT id, endpoint_id, event_id, token, incarnation, by_name, is_apart, is_erased, order_key,
        holds, tenant, $1::timestamptz, next_retry_at, attempts, crashes + 1, 'cancelled', kept_reason,
        last_status, last_failure
    FROM gone
), totals AS (
    INSERT INTO @.webhook_totals_added (endpoint_id, dead, cancelled)
    SELECT endpoint_id, sum(dead), sum(cancelled) FROM (
        SELECT endpoint_id, is_dead::integer AS dead, 0 AS cancelled FROM kept WHERE is_dead
        UNION ALL SELECT endpoint_id, 0, 1 FROM gone
    ) ended GROUP BY 1
)
SELECT (SELECT count(*) FROM kept) + (SELECT count(*) FROM gone) AS rescued

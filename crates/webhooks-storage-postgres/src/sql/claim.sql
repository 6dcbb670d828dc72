-- $1 worker, $2 now, $3 limit, $4 per endpoint, $5 room as {"endpoint": deliveries},
-- $6 and $7 the rate limit of those without, $8 the endpoint looked at last, $9 now in
-- nanoseconds, $10 the lower bound of due times, $11 poison suspects at most, $12 whether to take
-- something even if what is due is not ready yet. In place of the mark stands all_queues.sql or
-- known_queues.sql: who has something ready, in turn.
WITH RECURSIVE @queues, scheduled AS MATERIALIZED (
    SELECT next_retry_at AS at FROM @.webhook_queue
    WHERE status = 'pending' AND NOT is_ready AND next_retry_at >= $10::timestamptz
    ORDER BY next_retry_at LIMIT 1
), looked AS MATERIALIZED (
    SELECT r.id, r.floor, open.*
    FROM queue r
    CROSS JOIN LATERAL (
        SELECT p.claims, p.arrival, rate.gap, rate.burst, e.batch_size,
            -- A batch that fills waits for its number, or until this time.
            fill.until IS NULL OR fill.until <= $2::timestamptz OR fill.ready >= e.batch_size AS is_due,
            fill.until IS NULL OR fill.until <= $2 AS is_over, fill.until,
            e.max_leased IS NOT NULL OR rate.gap IS NOT NULL AS limited, e.incarnation,
            least(
                coalesce(($5::jsonb ->> r.id)::bigint, $4::bigint * e.batch_size),
                e.max_leased - (
                    SELECT count(*) FROM @.webhook_queue l
                    WHERE l.endpoint_id = r.id AND l.status = 'processing'
                        AND e.max_leased IS NOT NULL),
                CASE WHEN rate.gap IS NOT NULL THEN
                    greatest(0, rate.burst - ceil(
                        greatest(0, p.arrival - $9::bigint)::numeric / rate.gap)::bigint)
                        * e.batch_size END
            ) AS most
        FROM (
            SELECT max_leased, rate_limit_rps, rate_limit_burst, incarnation,
                coalesce((batch ->> 'max_events')::bigint, 1) AS batch_size,
                (batch ->> 'max_wait_ms')::bigint * interval '1 millisecond' AS batch_wait
            FROM @.webhook_endpoints
            WHERE id = r.id AND enabled AND NOT paused AND deleted_at IS NULL
                AND (held_until IS NULL OR held_until <= $2::timestamptz)
            OFFSET 0
        ) e
        CROSS JOIN LATERAL (
            SELECT 1000000000 / coalesce(e.rate_limit_rps, $6::integer)::bigint AS gap,
                CASE WHEN e.rate_limit_rps IS NULL THEN $7::integer ELSE e.rate_limit_burst END
                    ::bigint AS burst
        ) rate
        LEFT JOIN @.webhook_pace p ON p.endpoint_id = r.id
        CROSS JOIN LATERAL (
            -- With fewer than a batch these are all there are.
            SELECT count(*) AS ready, min(next_retry_at) + e.batch_wait AS until FROM (
                SELECT next_retry_at FROM @.webhook_queue
                WHERE e.batch_wait IS NOT NULL AND endpoint_id = r.id AND status = 'pending'
                    AND is_ready AND crashes < 2 AND sort_key >= r.floor
                    AND incarnation = e.incarnation
                ORDER BY sort_key, seq LIMIT e.batch_size
            ) first
        ) fill
        OFFSET 0
    ) open
    WHERE coalesce(($5 ->> r.id)::bigint, 1) > 0
        AND ($12::boolean OR coalesce((SELECT at FROM scheduled) > $2, true))
    LIMIT $3::bigint
), ours AS MATERIALIZED (
    -- Of endpoints with a limit, only those whose leases and tokens nobody has changed since they
    -- were counted above.
    SELECT p.endpoint_id AS id FROM @.webhook_pace p
    JOIN looked k ON k.id = p.endpoint_id AND k.claims = p.claims AND k.limited AND k.most > 0
    ORDER BY p.endpoint_id FOR UPDATE OF p SKIP LOCKED
), shared AS MATERIALIZED (
    -- Whole batches.
    SELECT k.*, least(k.most, k.batch_size
        * greatest(1, ceil($3::numeric / count(*) OVER () / k.batch_size)::bigint)) AS take
    FROM looked k
    WHERE k.most > 0 AND (NOT k.limited OR k.id IN (SELECT id FROM ours))
), picked AS MATERIALIZED (
    SELECT s.id AS endpoint_id, s.take, s.batch_size, q.id, q.sort_key, q.seq,
        -- What is left over of whole batches goes on to fill one.
        NOT s.is_over AND q.place > s.batch_size
            AND q.place > q.found - q.found % s.batch_size AS is_left
    FROM shared s
    CROSS JOIN LATERAL (
        SELECT id, sort_key, seq, row_number() OVER (ORDER BY sort_key, seq) AS place,
            count(*) OVER () AS found
        FROM (
            SELECT id, sort_key, seq FROM @.webhook_queue
            WHERE endpoint_id = s.id AND status = 'pending' AND is_ready AND crashes < 2
                AND sort_key >= s.floor
                -- What is left of an earlier one is about to be cancelled.
                AND incarnation = s.incarnation
            ORDER BY sort_key, seq LIMIT CASE WHEN s.is_due THEN s.take ELSE 0 END
            FOR UPDATE SKIP LOCKED
        ) locked
    ) q
), suspect AS MATERIALIZED (
    -- Not by their endpoint, which would let the planner walk all that is ready of it.
    SELECT q.endpoint_id, s.take, s.batch_size, q.id, q.sort_key, q.seq
    FROM @.webhook_queue q
    JOIN shared s ON s.id = q.endpoint_id || '' AND s.incarnation = q.incarnation
    LEFT JOIN (
        SELECT endpoint_id, count(*) AS found, max(ARRAY[sort_key, seq]) AS last FROM picked
        WHERE NOT is_left GROUP BY endpoint_id
    ) p ON p.endpoint_id = s.id
    WHERE q.status = 'pending' AND q.is_ready AND q.crashes >= 2
        -- One that is behind what its endpoint gives must not stand in for another endpoint's.
        AND (p.found < s.take OR p.last > ARRAY[q.sort_key, q.seq]) IS NOT FALSE
    ORDER BY q.sort_key, q.seq LIMIT $11::bigint FOR UPDATE OF q SKIP LOCKED
), chosen AS MATERIALIZED (
    -- One of each endpoint in turn, or one batch, of which the last comes whole.
    SELECT id, endpoint_id FROM (
        SELECT *, rank() OVER (ORDER BY (place - 1) / batch_size, endpoint_id) AS turn FROM (
            SELECT *, row_number() OVER (PARTITION BY endpoint_id ORDER BY sort_key, seq) AS place
            FROM (
                SELECT endpoint_id, take, batch_size, id, sort_key, seq FROM picked
                WHERE NOT is_left
                UNION ALL SELECT * FROM suspect
            ) either
        ) placed
        WHERE place <= take
    ) ranked
    WHERE turn <= $3
), claimed AS (
    UPDATE @.webhook_queue q
    SET status = 'processing', worker = $1::text, token = token + 1, updated_at = $2
    WHERE q.id = ANY (ARRAY(SELECT id FROM chosen)) AND q.status = 'pending'
    RETURNING q.*
), counted AS (
    SELECT s.id, s.limited, s.take, s.most, s.until IS NOT NULL AS is_batching, g.got,
        CASE WHEN s.gap IS NOT NULL AND g.got > 0
            THEN greatest(s.arrival, $9) + ceil(g.got::numeric / s.batch_size)::bigint * s.gap
            ELSE s.arrival END AS arrival
    FROM shared s
    LEFT JOIN (SELECT endpoint_id, count(*) AS n FROM chosen GROUP BY 1) c
        ON c.endpoint_id = s.id
    CROSS JOIN LATERAL (SELECT coalesce(c.n, 0) AS got) g
), paced AS (
    UPDATE @.webhook_pace p SET claims = p.claims + 1, arrival = c.arrival
    FROM counted c WHERE c.id = p.endpoint_id AND c.limited AND c.got > 0
), summary AS (
    SELECT
        (SELECT count(*) FROM looked) AS looked,
        (SELECT id FROM looked OFFSET greatest(0, $3 - 1) LIMIT 1) AS last_looked,
        -- Who gave a full share may have more.
        EXISTS (SELECT FROM counted WHERE got >= take AND got < most) AS unfinished,
        (SELECT jsonb_object_agg(id, k.most - coalesce(c.got, 0))
            FROM looked k LEFT JOIN counted c USING (id)) AS rooms,
        least(
            (SELECT at FROM scheduled),
            (SELECT min(until) FROM looked WHERE NOT is_due),
            -- When the rest of one that gave a batch is due, the next claim finds.
            (SELECT $2 + interval '1 millisecond' FROM counted
                WHERE is_batching AND got > 0 AND got < most LIMIT 1),
            (SELECT min(held_until) FROM @.webhook_endpoints
                WHERE held_until > $2 AND enabled AND NOT paused AND deleted_at IS NULL),
            (SELECT timestamptz 'epoch' + min(ceil(token.at / 1e6)) * interval '1 millisecond'
                FROM looked k LEFT JOIN counted c ON c.id = k.id
                CROSS JOIN LATERAL (
                    SELECT coalesce(c.arrival, k.arrival) - (k.burst - 1) * k.gap AS at) token
                WHERE token.at > $9 AND (c.id IS NULL OR c.got >= c.take))
        ) AS next_due
)
SELECT s.looked, s.last_looked, s.unfinished, s.rooms, s.next_due, q.sort_key, q.seq, q.worker, q.token,
    q.id, q.endpoint_id, q.event_id, q.next_retry_at, q.attempts, q.max_retries, q.crashes, q.priority,
    q.incarnation, q.by_name, q.order_key, q.holds, e.created_at, e.event_type, e.tenant, e.ordering_key,
    e.traceparent, e.tracestate, CASE WHEN NOT q.is_erased THEN e.payload END AS payload
FROM summary s LEFT JOIN (claimed q JOIN @.webhook_events e ON e.id = q.event_id) ON true
ORDER BY q.sort_key, q.seq

-- $13 endpoints, $14 the sort key from which on each may have something, $15 since when others may
-- have come to the end of a hold.
queue AS (
    SELECT k.id, k.floor
    FROM (
        SELECT id, floor FROM (
            SELECT id, floor FROM unnest($13::text[], $14::bigint[]) AS k (id, floor)
            UNION ALL
            SELECT id, -9223372036854775808 FROM @.webhook_endpoints
            WHERE held_until > $15::timestamptz AND held_until <= $2::timestamptz
                AND id <> ALL ($13)
        ) each
        ORDER BY id COLLATE "C" <= $8::text, id COLLATE "C"
    ) k
    WHERE EXISTS (
        SELECT FROM @.webhook_queue q
        WHERE q.endpoint_id = k.id AND q.status = 'pending' AND q.is_ready
            AND q.sort_key >= k.floor)
)

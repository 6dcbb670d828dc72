-- $12 endpoints, $13 the sort key from which on each may have something.
queue AS (
    SELECT k.id, k.floor
    FROM (
        SELECT id, floor FROM unnest($12::text[], $13::bigint[]) AS k (id, floor)
        ORDER BY id COLLATE "C" <= $8::text, id COLLATE "C"
    ) k
    WHERE EXISTS (
        SELECT FROM @.webhook_queue q
        WHERE q.endpoint_id = k.id AND q.status = 'pending' AND q.is_ready
            AND q.sort_key >= k.floor)
)

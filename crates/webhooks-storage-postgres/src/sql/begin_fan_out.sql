-- $1..$9: the event. $10: now. $11: the endpoint up to which it is stored. Two may begin it, where an
-- answer was lost: it never goes back.
INSERT INTO @.webhook_fan_outs AS f (event_id, event_type, tenant, idempotency_key, priority,
    max_retries, created_at, due_at, payload, moved_at, up_to)
VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::smallint, $6::integer, $7::timestamptz,
    $8::timestamptz, $9::json, $10::timestamptz, $11::text)
ON CONFLICT (event_id) DO UPDATE SET
    up_to = greatest(f.up_to, excluded.up_to), moved_at = excluded.moved_at

-- $1 the event, $2 its idempotency key, $3 now, $4 the endpoint up to which it is stored. Two may begin
-- it, where an answer was lost: it never goes back.
INSERT INTO @.webhook_fan_outs AS f (event_id, idempotency_key, moved_at, up_to)
VALUES ($1::uuid, $2::text, $3::timestamptz, $4::text)
ON CONFLICT (event_id) DO UPDATE SET
    up_to = greatest(f.up_to, excluded.up_to), moved_at = excluded.moved_at

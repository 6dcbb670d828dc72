-- $1 the idempotency key, $2 the event, $3 what it has made besides.
UPDATE @.webhook_idempotency i SET delivery_ids = delivery_ids || ARRAY(
    SELECT id FROM unnest($3::uuid[]) AS made (id) EXCEPT SELECT unnest(i.delivery_ids))
WHERE key = $1::bytea AND event_id = $2::uuid

-- $1 endpoints and $2 keys. Locks orders before deliveries are stored into them.
INSERT INTO @.webhook_orders AS o (endpoint_id, part)
SELECT DISTINCT endpoint_id COLLATE "C", @.webhook_order_part(key)
FROM unnest($1::text[], $2::text[]) AS orders (endpoint_id, key)
ORDER BY 1, 2
ON CONFLICT (endpoint_id, part) DO UPDATE SET part = o.part WHERE false

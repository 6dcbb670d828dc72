-- $1 deliveries. Locks the orders in which they stand, in one order, so that no two calls wait for each
-- other. What locks one later has it already then.
INSERT INTO @.webhook_orders AS o (endpoint_id, part)
SELECT endpoint_id, part FROM (
    SELECT endpoint_id, @.webhook_order_part(order_key) AS part FROM @.webhook_queue
    WHERE id = ANY ($1::uuid[]) AND order_key IS NOT NULL
    UNION
    SELECT endpoint_id, @.webhook_order_part(order_key) FROM @.webhook_archive
    WHERE id = ANY ($1) AND order_key IS NOT NULL
) orders ORDER BY 1, 2
ON CONFLICT (endpoint_id, part) DO UPDATE SET part = o.part WHERE false

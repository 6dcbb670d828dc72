-- $1 limit. Those of endpoints that are forgotten go under the empty id.
WITH added AS (
    DELETE FROM @.webhook_totals_added WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM @.webhook_totals_added LIMIT $1::bigint FOR UPDATE SKIP LOCKED))
    RETURNING *
), folded AS (
    INSERT INTO @.webhook_totals AS t (endpoint_id, delivered, dead, cancelled, purged)
    SELECT coalesce(e.id, ''), sum(delivered), sum(dead), sum(cancelled), sum(purged)
    FROM added LEFT JOIN @.webhook_endpoints e ON e.id = added.endpoint_id
    GROUP BY 1 ORDER BY 1
    ON CONFLICT (endpoint_id) DO UPDATE SET
        delivered = t.delivered + excluded.delivered, dead = t.dead + excluded.dead,
        cancelled = t.cancelled + excluded.cancelled, purged = t.purged + excluded.purged
)
SELECT count(*) AS n FROM added

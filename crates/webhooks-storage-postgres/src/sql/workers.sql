SELECT coalesce(w.id, l.worker) AS id, coalesce(w.seen_at, l.seen_at) AS seen_at,
    coalesce(l.leased, 0) AS leased
FROM @.webhook_workers w
FULL JOIN (
    SELECT worker, max(updated_at) AS seen_at, count(*) AS leased
    FROM @.webhook_queue WHERE status = 'processing' GROUP BY worker
) l ON l.worker = w.id
ORDER BY 1

-- One snapshot for the newest number and the rows up to it.
SELECT r.revision AS newest, e.id, e.url, e.secret, e.events, e.filter, e.enabled, e.rate_limit_rps,
    e.rate_limit_burst, e.headers, e.timeout_seconds, e.tenant, e.batch, e.signature,
    e.previous_secrets, e.content_type, e.user_agent, e.accepted_statuses, e.ordering, e.on_dead,
    e.description, e.metadata, e.created_at, e.updated_at, e.paused,
    e.disabled_by, e.held_until, e.max_leased, e.failing_since, e.gate_epoch, e.revision,
    e.definition_revision, e.incarnation, e.deleted_at
FROM @.webhook_revision r
LEFT JOIN LATERAL (
    SELECT * FROM @.webhook_endpoints WHERE revision > $1::bigint
    ORDER BY revision LIMIT $2::bigint + 1
) e ON true
ORDER BY e.revision

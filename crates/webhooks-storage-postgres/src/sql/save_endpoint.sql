-- $22: a new incarnation begins. The revision is locked, and what is stored was looked at since.
WITH numbered AS (
    UPDATE @.webhook_revision SET revision = revision + 1, definitions = revision + 1
    RETURNING revision, date_trunc('milliseconds', clock_timestamp()) AS now
), saved AS (
    INSERT INTO @.webhook_endpoints AS e (
        id, url, secret, events, enabled, rate_limit_rps, rate_limit_burst, headers,
        timeout_seconds, tenant, batch, signature, previous_secrets, content_type,
        user_agent, accepted_statuses, ordering, on_dead, description, metadata, filter, created_at,
        updated_at, revision, definition_revision, incarnation)
    SELECT $1::text, $2::text, $3::text, $4::jsonb, $5::boolean, $6::integer, $7::integer,
        $8::jsonb, $9::bigint, $10::text, $11::jsonb, $12::text, $13::jsonb, $14::text,
        $15::text, $16::jsonb, $17::text, $18::text, $19::text, $20::jsonb, $21::json, now, now, revision,
        revision, revision
    FROM numbered
    ON CONFLICT (id) DO UPDATE SET
        url = excluded.url, secret = excluded.secret, events = excluded.events,
        enabled = excluded.enabled, rate_limit_rps = excluded.rate_limit_rps,
        rate_limit_burst = excluded.rate_limit_burst, headers = excluded.headers,
        timeout_seconds = excluded.timeout_seconds, tenant = excluded.tenant,
        batch = excluded.batch, signature = excluded.signature,
        previous_secrets = excluded.previous_secrets, content_type = excluded.content_type,
        user_agent = excluded.user_agent, accepted_statuses = excluded.accepted_statuses,
        ordering = excluded.ordering, on_dead = excluded.on_dead,
        description = excluded.description, metadata = excluded.metadata,
        filter = excluded.filter,
        revision = excluded.revision,
        definition_revision = excluded.revision,
        incarnation = CASE WHEN $22::boolean THEN excluded.revision ELSE e.incarnation END,
        is_replaced = e.is_replaced OR $22,
        -- What is decided by what an earlier incarnation answers is void.
        gate_epoch = CASE WHEN $22 THEN e.gate_epoch + 1 ELSE e.gate_epoch END,
        -- The gate stays; who was deleted begins with a fresh one.
        paused = e.paused AND e.deleted_at IS NULL,
        disabled_by = CASE WHEN e.deleted_at IS NULL AND NOT excluded.enabled
            THEN e.disabled_by END,
        held_until = CASE WHEN e.deleted_at IS NULL THEN e.held_until END,
        max_leased = CASE WHEN e.deleted_at IS NULL THEN e.max_leased END,
        failing_since = CASE WHEN e.deleted_at IS NULL THEN e.failing_since END,
        created_at = CASE WHEN e.deleted_at IS NULL THEN e.created_at ELSE excluded.created_at END,
        deleted_at = NULL, updated_at = excluded.updated_at
    RETURNING id, revision
), paced AS (
    INSERT INTO @.webhook_pace (endpoint_id) SELECT id FROM saved ON CONFLICT DO NOTHING
)
SELECT revision FROM saved

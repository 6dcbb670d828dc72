-- What is stored was looked at since the revision is locked. $1 the endpoint, $2 now.
WITH numbered AS (
    UPDATE @.webhook_revision SET revision = revision + 1, definitions = revision + 1
    RETURNING revision
)
-- Only the id is still needed; the secrets go at once.
UPDATE @.webhook_endpoints e SET
    url = '', secret = '', events = '[]', filter = NULL, enabled = false, rate_limit_rps = NULL,
    rate_limit_burst = NULL, headers = '{}', timeout_seconds = 0, tenant = NULL, batch = NULL,
    signature = 'timestamped', previous_secrets = '[]', content_type = NULL, user_agent = NULL,
    accepted_statuses = '[]', ordering = 'none', on_dead = 'continue', description = '',
    metadata = '{}', paused = false, disabled_by = NULL,
    held_until = NULL, max_leased = NULL, failing_since = NULL,
    revision = numbered.revision, deleted_at = $2::timestamptz, updated_at = $2
FROM numbered WHERE e.id = $1::text RETURNING e.revision

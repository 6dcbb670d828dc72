-- The revision is locked, and what is stored was looked at since.
WITH numbered AS (
    UPDATE @.webhook_revision SET revision = revision + 1, definitions = revision + 1
    RETURNING revision
)
UPDATE @.webhook_endpoints e SET
    secret = $2::text, previous_secrets = $3::jsonb, revision = n.revision,
    definition_revision = n.revision, 
    updated_at = date_trunc('milliseconds', clock_timestamp())
FROM numbered n WHERE e.id = $1::text
RETURNING e.revision

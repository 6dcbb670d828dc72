-- $1 kind, $2 id, $3 now, $4 the revision that is expected, or NULL for any.
WITH found AS MATERIALIZED (
    SELECT revision FROM @.webhook_documents
    WHERE kind = $1::text AND id = $2::text AND (expires_at > $3::timestamptz) IS NOT FALSE
    FOR UPDATE
), gone AS (
    DELETE FROM @.webhook_documents d USING found f
    WHERE d.kind = $1 AND d.id = $2 AND coalesce(f.revision = $4::bigint, true)
    RETURNING 1
)
SELECT EXISTS (SELECT FROM gone) AS is_gone FROM found

-- $1 kind, $2 id, $3 value, $4 when it expires, $5 now, $6 whether it may replace what is there.
INSERT INTO @.webhook_documents AS d (kind, id, value, expires_at)
VALUES ($1::text, $2::text, $3::text, $4::timestamptz)
ON CONFLICT (kind, id) DO UPDATE SET
    value = excluded.value, expires_at = excluded.expires_at, revision = DEFAULT
WHERE $6::boolean OR d.expires_at <= $5::timestamptz
RETURNING revision

WITH old AS (
    -- Who has not answered yet is not enabled by who did not see that.
    SELECT * FROM @.webhook_endpoints WHERE id = $1::text AND deleted_at IS NULL
        AND ($2::text <> 'enable' OR disabled_by IS DISTINCT FROM 'unverified')
        -- What was decided before somebody enabled or reset it is void.
        AND ($6::bigint IS NULL OR $6 >= gate_epoch)
        -- Nor do answers change what was decided by hand.
        AND ($2 <> 'disable' OR $5::text NOT IN ('gone', 'failing') OR enabled
            OR coalesce(disabled_by IN ('gone', 'failing'), false))
), new AS (
    SELECT
        CASE $2 WHEN 'disable' THEN false WHEN 'enable' THEN true ELSE enabled END
            AS enabled,
        CASE $2 WHEN 'pause' THEN true WHEN 'resume' THEN false ELSE paused END AS paused,
        CASE WHEN $2 = 'disable' AND disabled_by = 'unverified' THEN disabled_by
            WHEN $2 = 'disable' THEN $5 WHEN $2 = 'enable' THEN NULL ELSE disabled_by END
            AS disabled_by,
        CASE $2 WHEN 'hold' THEN greatest(held_until, $3::timestamptz)
            WHEN 'resume' THEN NULL WHEN 'enable' THEN NULL WHEN 'reset' THEN NULL
            ELSE held_until END AS held_until,
        CASE $2 WHEN 'limit_leased' THEN $4::integer WHEN 'enable' THEN NULL
            WHEN 'reset' THEN NULL ELSE max_leased END AS max_leased,
        CASE $2 WHEN 'failing_since' THEN coalesce(failing_since, $3)
            WHEN 'recovered' THEN NULL WHEN 'enable' THEN NULL WHEN 'reset' THEN NULL
            ELSE failing_since END AS failing_since,
        CASE WHEN $2 IN ('enable', 'reset') THEN gate_epoch + 1 ELSE gate_epoch END AS gate_epoch
    FROM old
), changed AS (
    SELECT new.* FROM new, old
    WHERE (new.enabled, new.paused, new.disabled_by, new.held_until, new.max_leased,
            new.failing_since, new.gate_epoch)
        IS DISTINCT FROM (old.enabled, old.paused, old.disabled_by, old.held_until,
            old.max_leased, old.failing_since, old.gate_epoch)
), numbered AS (
    UPDATE @.webhook_revision SET revision = revision + 1
    WHERE EXISTS (SELECT FROM changed) RETURNING revision
)
UPDATE @.webhook_endpoints e SET
    enabled = c.enabled, paused = c.paused, disabled_by = c.disabled_by,
    held_until = c.held_until, max_leased = c.max_leased, failing_since = c.failing_since,
    gate_epoch = c.gate_epoch, revision = n.revision
FROM changed c, numbered n WHERE e.id = $1

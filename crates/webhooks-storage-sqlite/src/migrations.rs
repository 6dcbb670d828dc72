//! Brings the schema to the version that this code was written for.
//!
//! Each file of `migrations/` is one version, and says from which version on code may run on it.
//! Files are never changed once they were released.

use rusqlite::Connection;
use webhooks_core::{Result, WebhookError};

use crate::error::storage_error;
use crate::turn::Turn;

/// The files by version, from 1. The outbox is a part of the first.
const MIGRATIONS: [&str; 1] = [concat!(
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0001_outbox.sql")
)];

/// Applies what is missing, one process at a time.
///
/// # Errors
///
/// [`WebhookError::InvalidConfig`] when the schema is of another version than this code can use.
pub(crate) fn migrate(connection: &Connection, turn: &Turn) -> Result<()> {
    const WHAT: &str = "migrate the schema";
    let failed = |error: &rusqlite::Error| storage_error(WHAT, error).without_effect();
    let _turn = turn.take().map_err(|error| {
        WebhookError::permanent_storage("sqlite: cannot lock the file of turns", error)
    })?;
    let begin = connection.execute_batch("BEGIN IMMEDIATE");
    begin.map_err(|error| failed(&error))?;
    match apply_missing(connection) {
        Ok(()) => {
            let commit = connection.execute_batch("COMMIT");
            commit.map_err(|error| storage_error(WHAT, &error))
        }
        Err(error) => {
            let back = connection.execute_batch("ROLLBACK");
            back.map_err(|error| failed(&error))?;
            Err(error)
        }
    }
}

fn apply_missing(connection: &Connection) -> Result<()> {
    let failed = |error: rusqlite::Error| {
        storage_error("read the version of the schema", &error).without_effect()
    };
    let (version, compatible_from) = version(connection).map_err(failed)?;
    let ours = newest();
    if compatible_from > ours {
        let text = format!(
            "the schema has version {version}, which needs code of version {compatible_from} or \
             later; this is {ours}"
        );
        return Err(WebhookError::InvalidConfig(text.into()));
    }
    let done = usize::try_from(version).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        let applied = connection.execute_batch(migration);
        applied.map_err(|error| storage_error("migrate the schema", &error).without_effect())?;
    }
    Ok(())
}

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version of the schema, and the oldest one whose code runs on it.
fn version(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    if !connection.table_exists(None, "webhook_migrations")? {
        return Ok((0, 0));
    }
    let sql = "SELECT coalesce(max(version), 0), coalesce(max(compatible_from), 0) \
               FROM webhook_migrations";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

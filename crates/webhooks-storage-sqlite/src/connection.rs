//! Connections, each with all of its settings: none of them is kept in the file but the journal mode.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use webhooks_core::{Result, WebhookError};

use crate::error::storage_error;

/// The oldest library that may open a file: before it, a reset of the write-ahead log could lose what
/// another connection had committed.
const OLDEST_LIBRARY: i32 = 3_051_003;
/// How long a connection waits for who writes without the turn.
const BUSY: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 256;

/// Refuses a library that is not safe.
pub(crate) fn check_library() -> Result<()> {
    check_version(rusqlite::version_number(), rusqlite::version())
}

fn check_version(number: i32, name: &str) -> Result<()> {
    if number >= OLDEST_LIBRARY {
        return Ok(());
    }
    let text = format!("the SQLite library has version {name}, it needs 3.51.3 or later");
    Err(WebhookError::InvalidConfig(text.into()))
}

/// A connection that writes.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    connect(path).map_err(|error| storage_error("open the file", &error).without_effect())
}

/// A connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let open = || {
        let connection = connect(path)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error| storage_error("open the file", &error).without_effect())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // No URI: a name is a name. No mutex: each connection is one thread's.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // First of all: changing the journal mode needs a lock that another process may have.
    connection.busy_timeout(BUSY)?;
    // A plan does not depend on the values that are bound. It would be made anew for most executions
    // else, at ten times the price of the execution.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        // Without it, readers and the writer would wait for each other.
        return Err(rusqlite::Error::InvalidPath(path.into()));
    }
    // Each commit is on the disk when it is answered. NORMAL would lose the last ones with the power.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // Functions and virtual tables that a schema may not use cannot be put into it by anybody.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    // 16 MiB of log between two checkpoints: fewer of them, each page written once for many changes.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_new_enough_and_an_older_one_is_refused() {
        check_library().unwrap();
        check_version(3_051_002, "3.51.2").unwrap_err();
    }
}

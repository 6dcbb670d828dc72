//! What the database's failures mean. Messages of the server may quote values, and so secrets and
//! payloads: of those only the code is kept.

use std::error::Error;
use std::fmt;
use std::io;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{Severity, SqlState};
use webhooks_core::WebhookError;

use crate::refusal::Refusal;

/// A failure of the database without any value that was stored.
#[derive(Debug)]
pub(crate) struct PostgresError {
    code: Option<String>,
    text: String,
    /// Nothing was done, and the call may be made again.
    pub(crate) refusal: Option<Refusal>,
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} (SQLSTATE {code})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Error for PostgresError {}

/// The error of a call that was to do `what`.
pub(crate) fn storage_error(what: &str, error: &tokio_postgres::Error) -> WebhookError {
    error_of(what, error, Refusal::of(error))
}

/// The error of a commit, after which nobody knows whether it was one.
pub(crate) fn commit_error(what: &str, error: &tokio_postgres::Error) -> WebhookError {
    error_of(what, error, None)
}

fn error_of(what: &str, error: &tokio_postgres::Error, refusal: Option<Refusal>) -> WebhookError {
    let safe = PostgresError {
        code: error.code().map(|code| code.code().to_owned()),
        text: safe_text(error),
        refusal,
    };
    let message = format!("postgres: cannot {what}");
    let failed = if is_transient(error) {
        WebhookError::transient_storage(message, safe)
    } else {
        WebhookError::permanent_storage(message, safe)
    };
    if is_without_effect(error) {
        failed.without_effect()
    } else {
        failed
    }
}

/// Whether the statement, or the transaction that it is of, certainly changed nothing: the server
/// refused it and rolled it back, or it was never sent. What ended the connection or the server
/// may have come after the commit.
fn is_without_effect(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(db) => {
            db.parsed_severity() == Some(Severity::Error) && !db.code().code().starts_with("08")
        }
        None => is_unsendable(error),
    }
}

/// Whether the message could not even be written: a value that is none of its type, or more bytes
/// than a message has.
fn is_unsendable(error: &tokio_postgres::Error) -> bool {
    io_error(error).is_some_and(|io| io.kind() == io::ErrorKind::InvalidInput)
}

/// The error of a call that got no connection.
pub(crate) fn pool_error(error: &PoolError) -> WebhookError {
    match error {
        PoolError::Backend(error) => storage_error("connect", error).without_effect(),
        PoolError::Timeout(kind) => WebhookError::transient_storage(
            "postgres: no connection became free in time",
            format!("timeout of the pool: {kind:?}"),
        )
        .without_effect(),
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            WebhookError::permanent_storage("postgres: the pool gives no connection", text(error))
                .without_effect()
        }
    }
}

fn text(error: &PoolError) -> String {
    match error {
        PoolError::Closed => "the pool is closed".into(),
        PoolError::NoRuntimeSpecified => "the pool has timeouts but no runtime".into(),
        _ => "a hook of the pool failed".into(),
    }
}

fn safe_text(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        // Classes 22 and 23 are about values, and P0001 is text of somebody's trigger.
        let quotes = ["22", "23", "P0"]
            .iter()
            .any(|c| db.code().code().starts_with(c));
        return if quotes {
            let table = db.table().or(db.constraint()).unwrap_or("a table");
            format!("{table} refuses a value")
        } else if [
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
        ]
        .contains(db.code())
        {
            // What is left of it after some tries.
            let hint = "does a pooler without sessions take prepared statements away?";
            format!("{}; {hint}", db.message())
        } else {
            db.message().to_owned()
        };
    }
    if let Some(io) = io_error(error) {
        return format!("input or output failed: {}", io.kind());
    }
    if error.is_closed() {
        return "the connection is closed".into();
    }
    "the client failed".into()
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

fn is_transient(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // Without an answer of the server: lost, refused or timed out. What cannot be sent now
        // cannot be sent later.
        return !is_unsendable(error)
            && (error.is_closed() || error.source().is_none_or(|s| s.is::<io::Error>()));
    };
    let passing = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        // Somebody left a transaction behind on the connection.
        SqlState::ACTIVE_SQL_TRANSACTION,
        SqlState::IN_FAILED_SQL_TRANSACTION,
        // A server that just became a standby, before the pool follows to the new primary.
        SqlState::READ_ONLY_SQL_TRANSACTION,
        // A statement that a connection pooler or DISCARD ALL took away, or a changed table.
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::FEATURE_NOT_SUPPORTED,
    ];
    // Class 08 is the connection, 53 the lack of memory, disk or connections, 58 the system.
    let classes = ["08", "53", "58"];
    // Limits of idle sessions and of whole transactions, which the client has no names for.
    let timeouts = ["57P05", "25P04"];
    passing.contains(code)
        || timeouts.contains(&code.code())
        || classes.iter().any(|class| code.code().starts_with(class))
}

//! What the database's failures mean. Messages of SQLite may quote values, and so secrets and
//! payloads: of those only the code is kept.

use std::error::Error;
use std::fmt;

use rusqlite::ErrorCode;
use webhooks_core::WebhookError;

/// The result of what runs inside a transaction.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a call failed inside its transaction, which is then rolled back.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database failed.
    Sql(rusqlite::Error),
    /// The call is refused, or what is stored is not what it should be.
    Said(WebhookError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        Self::Said(error)
    }
}

impl Failure {
    /// What the caller of a call that was to do `what` is told. All of it was rolled back.
    pub(crate) fn into_error(self, what: &str) -> WebhookError {
        match self {
            Self::Sql(error) => storage_error(what, &error).without_effect(),
            Self::Said(error) => error.without_effect(),
        }
    }

    /// Whether the connection or the file may be at fault, so that a new connection may help.
    pub(crate) fn wants_new_connection(&self) -> bool {
        matches!(self, Self::Sql(error) if wants_new_connection(error))
    }
}

/// What is stored is not what this code has put there.
pub(crate) fn unknown(what: &str) -> Failure {
    let text = format!("sqlite: {what} is not what it should be");
    Failure::Said(WebhookError::StorageError(text.into()))
}

/// A failure of the database without any value that was stored.
#[derive(Debug)]
struct SqliteError {
    code: Option<i32>,
    text: String,
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} (code {code})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Error for SqliteError {}

/// The error of a call that was to do `what`, of which nothing is said about its effects.
pub(crate) fn storage_error(what: &str, error: &rusqlite::Error) -> WebhookError {
    let safe = SqliteError {
        code: error.sqlite_error().map(|error| error.extended_code),
        text: safe_text(error),
    };
    let message = format!("sqlite: cannot {what}");
    if is_transient(error) {
        WebhookError::transient_storage(message, safe)
    } else {
        WebhookError::permanent_storage(message, safe)
    }
}

/// The description that SQLite has of a code, never the message of the statement.
fn safe_text(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(error) => rusqlite::ffi::code_to_str(error.extended_code).into(),
        None => "the client failed".into(),
    }
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// What passes with time: others at the file, a full disk, a device that hangs.
fn is_transient(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::OperationAborted
                | ErrorCode::CannotOpen
                | ErrorCode::SchemaChanged
                // A file system that was mounted anew for reading alone may be mended.
                | ErrorCode::ReadOnly
        )
    )
}

/// Whether the file is full, after which SQLite has rolled back all of the transaction.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    code(error) == Some(ErrorCode::DiskFull)
}

/// After these a connection may hold pages that are not on the disk, or a file that is gone.
pub(crate) fn wants_new_connection(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseCorrupt
        )
    )
}

//! How values of the core stand in columns.

use std::str::FromStr;
use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use webhooks_core::{Result, Timestamp, WebhookError};

/// A point in time as a `timestamptz`.
pub(crate) fn time(at: Timestamp) -> SystemTime {
    at.into()
}

/// The value of a column.
///
/// # Errors
///
/// [`WebhookError::StorageError`] when somebody put something else there.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(|error| {
        let text = format!("postgres: column {column} is not what it should be");
        WebhookError::permanent_storage(text, error)
    })
}

pub(crate) fn get_time(row: &Row, column: &str) -> Result<Timestamp> {
    get::<SystemTime>(row, column).map(Timestamp::from)
}

pub(crate) fn get_u32(row: &Row, column: &str) -> Result<u32> {
    get::<i32>(row, column).map(|n| u32::try_from(n).unwrap_or(0))
}

pub(crate) fn get_u64(row: &Row, column: &str) -> Result<u64> {
    get::<i64>(row, column).map(|n| u64::try_from(n).unwrap_or(0))
}

pub(crate) fn int(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

pub(crate) fn long(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

/// The value whose name a column holds.
///
/// # Errors
///
/// [`WebhookError::StorageError`] for a name that no value has.
pub(crate) fn named<T: FromStr<Err = WebhookError>>(column: &str, name: &str) -> Result<T> {
    name.parse().map_err(|error: WebhookError| {
        let text = format!("postgres: column {column} holds an unknown name");
        WebhookError::permanent_storage(text, error)
    })
}

/// The error for a row or a part of one that is not what it should be.
pub(crate) fn unknown(column: &str) -> WebhookError {
    WebhookError::StorageError(format!("postgres: column {column} holds an unknown name").into())
}

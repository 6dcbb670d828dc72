use std::time::Duration;

use crate::named::named;
use crate::{Result, WebhookError};

/// A call of the storage that is over.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StorageCall {
    /// The name of the method of [`WebhookStorage`](crate::storage::WebhookStorage).
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub end: StorageCallEnd,
    /// How much was stored by it: events of an `enqueue`, an `enqueue_outbox` and a `fan_out`,
    /// settlements of a `settle`. `None` of every other call.
    pub items: Option<usize>,
}

impl StorageCall {
    /// A call with this name that took so long and ended so.
    #[must_use]
    pub const fn new(name: &'static str, took: Duration, end: StorageCallEnd) -> Self {
        Self {
            name,
            took,
            end,
            items: None,
        }
    }
}

/// How a call of a storage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageCallEnd {
    /// With an answer.
    Ok,
    /// With an error about what it was asked for: it is full, or a query is out of its bounds.
    Refused,
    /// The database failed, and may do better soon.
    Transient,
    /// The database failed, and will fail again.
    Permanent,
}

impl StorageCallEnd {
    /// How a call ended that has this result.
    #[must_use]
    pub fn of<T>(result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error @ WebhookError::StorageError(_)) if error.is_transient() => Self::Transient,
            Err(WebhookError::StorageError(_)) => Self::Permanent,
            Err(_) => Self::Refused,
        }
    }

    /// Whether the database failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Transient | Self::Permanent)
    }
}

named!(StorageCallEnd, "end of a storage call", {
    Ok => "ok",
    Refused => "refused",
    Transient => "transient",
    Permanent => "permanent",
});

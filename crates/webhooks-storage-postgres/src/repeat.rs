//! Calls that were refused before they had any effect, and that are made again.
//!
//! What a connection remembers may go out of date: statements that `DISCARD ALL` took, plans of a
//! table whose columns changed, a server that became a standby. Such a refusal says nothing about the
//! call, and would come again for as long as the connection lives. So what is out of date is dropped,
//! and the call begins anew. So it does after a deadlock and its kind, which pass by themselves.

use std::error::Error;
use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use webhooks_core::{Result, WebhookError};

use crate::database::Database;
use crate::error::PostgresError;
use crate::refusal::Refusal;

/// Times that a call is made in all.
const MOST_TRIES: u32 = 6;
/// The mean pause before the second try after a conflict; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(5);

impl Database {
    /// Makes a call that has no effect when it fails by a [`Refusal`], again if it does.
    pub(crate) async fn repeat<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = 1;
        let mut pauses = pauses();
        loop {
            let error = match call().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(refusal) = refusal(&error).filter(|_| tries < MOST_TRIES) else {
                return Err(error);
            };
            tracing::debug!(%error, "a call is made again");
            self.drop_what_is_stale(refusal, tries);
            if refusal == Refusal::Conflict {
                tokio::time::sleep(pauses.next_backoff().unwrap_or(PAUSE)).await;
            }
            tries += 1;
        }
    }

    /// All of a kind, since what has happened to one has almost always happened to all.
    fn drop_what_is_stale(&self, refusal: Refusal, tries: u32) {
        if refusal == Refusal::Statement {
            self.pool.manager().statement_caches.clear();
        }
        // What a connection still refuses is more than its statements.
        if refusal == Refusal::Connection || refusal == Refusal::Statement && tries > 1 {
            // Whoever asks for one gets a new one; those in use come back, and go when they refuse.
            self.pool.retain(|_, _| false);
        }
    }
}

/// From nothing to twice the mean: those that were in each other's way come back one by one.
fn pauses() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(PAUSE)
        .with_multiplier(2.0)
        .with_randomization_factor(1.0)
        .with_max_elapsed_time(None)
        .build()
}

fn refusal(error: &WebhookError) -> Option<Refusal> {
    error.source()?.downcast_ref::<PostgresError>()?.refusal
}

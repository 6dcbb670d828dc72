//! Brings ready deliveries from the storage into their lanes.
//!
//! Promises: work that is ready is found within [`POLL`] though nobody told of it, and an idle
//! process claims no more often than that. Whether there is room, and for what, the scheduler says;
//! a claimer that is refused room rests until something makes some.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument;
use webhooks_core::storage::spi::Claimed;
use webhooks_core::{RateLimitConfig, Result, Timestamp};

use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::retrying::{Retrying, error_source};
use super::worker::Worker;
use crate::schedule::{AfterClaim, ClaimRequest};

/// How often the storage is asked at least, for work that nobody told of.
/// Twice the beat. Where the storage wakes claimers it is a safety net; where it does not, it is
/// the longest that a delivery waits which another process has stored.
const POLL: Duration = Duration::from_millis(1_600);

/// Claims whenever there may be work and there is room for it.
#[derive(Clone, Debug)]
pub(crate) struct Claimer {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    /// Read when a claim brings something of an endpoint that is not known as open.
    pub(crate) endpoints: Arc<EndpointReader>,
    /// The rate limit of endpoints that have none of their own.
    /// For storages that keep rate limits in their claims; others pass it over.
    pub(crate) rate_limit: Option<RateLimitConfig>,
    /// Told when a claim failed that may have leased something all the same.
    pub(crate) leases_unknown: Arc<Notify>,
    /// Claims come back full: others may help.
    pub(crate) help: Arc<Notify>,
}

/// What one claim says about the next.
enum Next {
    /// There is likely more, and room for it.
    AtOnce,
    /// That was all, for now.
    Later { due: Option<Timestamp> },
}

impl Claimer {
    /// Watches for work, and claims it.
    pub(crate) async fn watch(self) {
        while !self.driver.is_stopping() {
            let due = self.claim_all().await;
            self.driver.unless_stopped(self.wait_for_work(due)).await;
        }
    }

    /// Helps the one that watches, for as long as claims come back full.
    pub(crate) async fn help(self) {
        while !self.driver.is_stopping() {
            self.driver.unless_stopped(self.help.notified()).await;
            self.claim_all().await;
            // The one that watches asks when something is due next.
            // `help` itself knows of no due time, and may have claimed what `watch` waits for.
            self.driver.claim.notify_one();
        }
    }

    /// Claims until there is no more, or no room; when the next delivery is due.
    async fn claim_all(&self) -> Option<Timestamp> {
        let mut retrying = Retrying::new("claim deliveries");
        while !self.driver.is_stopping() {
            match self.claim().await {
                Ok(Next::AtOnce) => self.help.notify_one(),
                Ok(Next::Later { due }) => return due,
                Err(error) => retrying.pause(&error).await,
            }
        }
        None
    }

    async fn wait_for_work(&self, due: Option<Timestamp>) {
        let poll = Instant::now() + POLL;
        // Never later than the poll, whatever the storage said: its time may be set.
        let due = due.map_or(poll, |at| self.worker.clock.instant(at).min(poll));
        tokio::select! {
            () = self.driver.claim.notified() => {}
            () = tokio::time::sleep_until(due) => {}
            waited = self.worker.storage.wait() => if let Err(error) = waited {
                // Without its wake-ups there is still the poll.
                tracing::warn!(%error, source = error_source(&error), "cannot wait for work");
                tokio::time::sleep_until(due).await;
            }
        }
    }

    async fn claim(&self) -> Result<Next> {
        let wanted = self
            .driver
            .tell(|scheduler, now| scheduler.claim_wanted(now));
        let Some(claim) = wanted else {
            return Ok(Next::Later { due: None });
        };
        let Claimed {
            deliveries,
            next_due,
            ..
        } = match self.ask(&claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                // The room that was kept for it must be free again, or each failure would leak
                // some.
                self.driver
                    .tell(|scheduler, _| scheduler.claim_failed(&claim));
                if error.outcome_unknown() {
                    // Perhaps only the answer was lost.
                    self.leases_unknown.notify_one();
                }
                return Err(error);
            }
        };
        let mut after = self
            .driver
            .tell(|scheduler, now| scheduler.claimed(now, claim, deliveries));
        if let AfterClaim::ReadEndpoints(claim) = after {
            let has_read = self.endpoints.try_refresh().await;
            after = self
                .driver
                .tell(|scheduler, now| scheduler.end_claim(now, claim, has_read));
        }
        Ok(match after {
            AfterClaim::Again => Next::AtOnce,
            AfterClaim::Rest | AfterClaim::ReadEndpoints(_) => Next::Later { due: next_due },
        })
    }

    async fn ask(&self, claim: &ClaimRequest) -> Result<Claimed> {
        let span = tracing::debug_span!("claim", limit = claim.limit);
        let claimed = self.worker.claim(claim, self.rate_limit);
        claimed.instrument(span).await
    }
}

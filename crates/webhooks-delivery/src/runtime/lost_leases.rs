//! Gives back what a claim or a commit leased to this process when its answer was lost, and what the
//! storage holds for leased since it lost the outcome.
//!
//! Nobody else may take it for as long as this process beats.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use webhooks_core::storage::spi::{HeldLease, SettleAs, Settlement};
use webhooks_core::{Result, Timestamp};

use super::driver::Driver;
use super::retrying::Retrying;
use super::worker::Worker;
use crate::schedule::{LeaseKey, key};

/// Between two looks: what an answer is about to bring has mostly arrived by then.
/// Longer than calls take that succeed, so that what is still unknown at the second look is hardly
/// ever on its way.
const PAUSE: Duration = Duration::from_secs(10);
/// Looks after a failure, and one more for what the last has seen: the storage may go on working on
/// a call for as long as a minute after its caller has been told that it failed.
const LOOKS: usize = 7;
/// Between two rounds that nothing has asked for: a storage that lost what it had acknowledged, as
/// when a replica takes over that had not got all, may hold leases whose outcome it has forgotten.
const EVERY: Duration = Duration::from_secs(20);
/// Leases of one page.
/// A process may hold thousands; each page is compared under the scheduler's lock.
const PAGE: usize = 500;

/// Looks for lost leases after each call that may have leased some and failed, after each outcome that
/// the storage does not know the lease of, and now and then.
#[derive(Debug)]
pub(crate) struct LostLeases {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    /// Told when such a call has failed, or such an outcome was refused.
    pub(crate) unknown: Arc<Notify>,
}

impl LostLeases {
    /// Gives back lost leases for as long as the process lives.
    ///
    /// A failure that is told while it looks starts another round after this one: `Notify` keeps
    /// it.
    pub(crate) async fn keep_giving_back(self) {
        let mut retrying = Retrying::new("look for lost claims");
        loop {
            let waited = tokio::time::timeout(EVERY, self.unknown.notified()).await;
            let asked = waited.is_ok();
            // One more than these: twice is often enough where no call is still on its way.
            let looks = if asked { LOOKS } else { 1 };
            // The first look of a round only notes: nothing was seen before it.
            let mut seen = HashSet::new();
            for _ in 0..=looks {
                seen = loop {
                    match self.give_back(&seen).await {
                        Ok(found) => break found,
                        Err(error) => retrying.pause(&error).await,
                    }
                };
                retrying.succeeded();
                if seen.is_empty() && !asked {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Gives back what nobody here knows of, and was `seen` so in the look before; what else nobody
    /// knows of.
    ///
    /// What is known is asked after the storage was: what has been brought by then is known, also while
    /// it waits for its lane. What an answer brings later is not taken, so that nothing that was given
    /// back starts here under its old lease. A lease that is seen once may just be about to arrive, or
    /// have been settled since; to wait for the next look spares giving it back.
    async fn give_back(&self, seen: &HashSet<LeaseKey>) -> Result<HashSet<LeaseKey>> {
        let (worker, mut after) = (self.worker.id(), None);
        let mut unknown = HashSet::new();
        loop {
            let told = self.worker.storage.leased_by(&worker, after, PAGE).await?;
            // By id, so that leases that come or go between two pages shift none of the others.
            after = told.last().map(|lease| lease.delivery_id);
            if after.is_none() {
                return Ok(unknown);
            }
            let (lost, new) = self
                .driver
                .tell(|scheduler, now| scheduler.lose(now, told, seen));
            // What was lost is not noted: it is given back now.
            unknown.extend(new.iter().map(key));
            if lost.is_empty() {
                continue;
            }
            let deliveries = lost.len();
            tracing::warn!(
                deliveries,
                "gives back what was leased by a call whose answer was lost"
            );
            let now = self.worker.now();
            let released: Vec<_> = lost.into_iter().map(|lease| release(lease, now)).collect();
            // If this fails, the next look sees them again: it is asked again for all.
            let settled = self.worker.storage.settle(&worker, &released, now);
            settled.await?;
            self.driver.claim.notify_one();
        }
    }
}

fn release(lease: HeldLease, at: Timestamp) -> Settlement {
    Settlement {
        delivery_id: lease.delivery_id,
        endpoint_id: lease.endpoint_id,
        token: lease.token,
        settle_as: SettleAs::Release { at },
        attempt: None,
    }
}

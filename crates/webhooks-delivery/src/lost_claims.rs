//! Gives back what a claim or a commit leased to this process when its answer was lost.
//!
//! Nobody else may take it for as long as this process beats.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::spi::{HeldLease, SettleAs, Settlement};
use webhooks_core::{Clock, Result, Timestamp};

use crate::dispatcher::Dispatcher;
use crate::leases::{LeaseKey, key};
use crate::retrying::Retrying;

/// Between two looks: what an answer is about to bring has mostly arrived by then.
const PAUSE: Duration = Duration::from_secs(10);
/// Looks after a failure, and one more for what the last has seen: the storage may go on working on
/// a call for as long as a minute after its caller has been told that it failed.
const LOOKS: usize = 7;
/// Leases of one page.
const PAGE: usize = 500;

/// Looks for lost deliveries after each call that may have leased some and failed.
pub(crate) async fn give_back_lost_claims(dispatcher: Arc<Dispatcher>) {
    let mut retrying = Retrying::new("look for lost claims");
    loop {
        dispatcher.leases_unknown.notified().await;
        let mut seen = HashSet::new();
        for _ in 0..=LOOKS {
            seen = loop {
                match give_back(&dispatcher, &seen).await {
                    Ok(found) => break found,
                    Err(error) => retrying.pause(&error).await,
                }
            };
            retrying.succeeded();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Gives back what nobody here knows of, and was `seen` so in the look before; what else nobody knows
/// of.
///
/// What is known is asked after the storage was: what has been brought by then is known, also while it
/// waits for its lane. What an answer brings later is not taken in hand ([`Leases::arrives`]), so that
/// nothing that was given back starts here under its old lease. A lease that is seen once may just be
/// about to arrive, or have been settled since; to wait for the next look spares giving it back.
///
/// [`Leases::arrives`]: crate::leases::Leases::arrives
async fn give_back(
    dispatcher: &Arc<Dispatcher>,
    seen: &HashSet<LeaseKey>,
) -> Result<HashSet<LeaseKey>> {
    let (worker, mut after) = (dispatcher.worker(), None);
    let mut unknown = HashSet::new();
    loop {
        let told = dispatcher.storage.leased_by(&worker, after, PAGE).await?;
        after = told.last().map(|lease| lease.delivery_id);
        if after.is_none() {
            return Ok(unknown);
        }
        let (lost, new) = dispatcher.hand.leases.lose(told, seen);
        unknown.extend(new.iter().map(key));
        if lost.is_empty() {
            continue;
        }
        tracing::warn!(
            deliveries = lost.len(),
            "gives back what was leased by a call whose answer was lost"
        );
        let now = dispatcher.clock.now();
        let released: Vec<_> = lost.into_iter().map(|lease| release(lease, now)).collect();
        // If this fails, the next look sees them again: it is asked again for all.
        dispatcher.storage.settle(&worker, &released, now).await?;
        dispatcher.work.notify_one();
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

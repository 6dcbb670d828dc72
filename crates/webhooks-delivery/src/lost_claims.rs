//! Gives back what a claim or a commit leased to this process when its answer was lost.
//!
//! Nobody else may take it for as long as this process beats.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::DeliveryQuery;
use webhooks_core::{Clock, DeliveryId, DeliveryState, Result, WebhookDelivery};

use crate::dispatcher::Dispatcher;
use crate::retrying::Retrying;

/// Between two looks: what only was on its way into a lane or the storage has arrived by then.
const PAUSE: Duration = Duration::from_secs(10);
/// Looks after a failure, and one more for what the last has seen: the storage may go on working on
/// a call for as long as a minute after its caller has been told that it failed.
const LOOKS: usize = 7;
/// Deliveries of one page.
const PAGE: usize = 1_000;

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

/// Gives back what nobody knows of and was seen in the look before; what else nobody knows of.
async fn give_back(
    dispatcher: &Arc<Dispatcher>,
    seen: &HashSet<(DeliveryId, Option<u64>)>,
) -> Result<HashSet<(DeliveryId, Option<u64>)>> {
    let unknown = unknown(dispatcher).await?.into_iter();
    let (lost, new): (Vec<_>, Vec<_>) = unknown.partition(|delivery| seen.contains(&key(delivery)));
    if !lost.is_empty() {
        tracing::warn!(
            deliveries = lost.len(),
            "gives back what was leased by a call whose answer was lost"
        );
    }
    let now = dispatcher.clock.now();
    lost.iter()
        .for_each(|delivery| dispatcher.release(None, delivery, now));
    Ok(new.iter().map(key).collect())
}

fn key(delivery: &WebhookDelivery) -> (DeliveryId, Option<u64>) {
    (
        delivery.id,
        delivery.lease.as_ref().map(|lease| lease.token),
    )
}

/// What the storage says this process holds, and no lane of it knows of.
async fn unknown(dispatcher: &Arc<Dispatcher>) -> Result<Vec<WebhookDelivery>> {
    let mut query = DeliveryQuery {
        states: vec![DeliveryState::Leased],
        limit: PAGE,
        ..DeliveryQuery::default()
    };
    let worker = dispatcher.worker();
    let mut held = Vec::new();
    loop {
        let page = dispatcher.storage.deliveries(&query).await?;
        let leased = page.items.into_iter().map(|record| record.delivery);
        held.extend(leased.filter(|delivery| {
            let lease = delivery.lease.as_ref();
            lease.is_some_and(|lease| lease.worker == worker)
        }));
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    let known = dispatcher.hand.known();
    held.retain(|delivery| !known.contains(&delivery.id));
    Ok(held)
}

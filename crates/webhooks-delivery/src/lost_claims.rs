//! Gives back what a claim leased to this process when its answer was lost.
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
/// Deliveries of one page.
const PAGE: usize = 1_000;

/// Looks for lost deliveries after each claim that failed.
pub(crate) async fn give_back_lost_claims(dispatcher: Arc<Dispatcher>) {
    let mut retrying = Retrying::new("look for lost claims");
    loop {
        dispatcher.claim_failed.notified().await;
        while let Err(error) = give_back(&dispatcher).await {
            retrying.pause(&error).await;
        }
        retrying.succeeded();
    }
}

async fn give_back(dispatcher: &Arc<Dispatcher>) -> Result<()> {
    let first: HashSet<_> = unknown(dispatcher).await?.iter().map(key).collect();
    if first.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(PAUSE).await;
    let mut lost = unknown(dispatcher).await?;
    lost.retain(|delivery| first.contains(&key(delivery)));
    if lost.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        deliveries = lost.len(),
        "gives back what a claim leased whose answer was lost"
    );
    let now = dispatcher.clock.now();
    lost.iter()
        .for_each(|delivery| dispatcher.release(None, delivery, now));
    Ok(())
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
    let mut held = Vec::new();
    loop {
        let page = dispatcher.storage.deliveries(&query).await?;
        let leased = page.items.into_iter().map(|record| record.delivery);
        held.extend(leased.filter(|delivery| {
            let lease = delivery.lease.as_ref();
            lease.is_some_and(|lease| lease.worker == dispatcher.worker)
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

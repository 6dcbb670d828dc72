//! Events for more endpoints than one call of the storage is to store: part after part, in the order
//! of the endpoints' ids.
//!
//! With the first part the storage keeps what is needed to go on. So when a sender or its process dies
//! in the middle, another node finishes it: one that nobody has moved for a while. That two nodes are
//! at one does no harm, as the ids of deliveries follow from event and endpoint.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use webhooks_core::storage::spi::{Enqueued, FanOut, FanOutPart, NewDelivery, NewEvent, PartPlace};
use webhooks_core::{Clock, DeliveryId, Result};

use crate::committer::{accept, most_deliveries};
use crate::dispatcher::Dispatcher;
use crate::lane::LaneRef;
use crate::outgoing::Sent;
use crate::retrying::{Retrying, error_source};

/// How long nobody has moved a fan-out that is left alone, and how much longer at most, so that
/// nodes that see it do not all begin at once.
const IDLE: Duration = Duration::from_secs(5);
const SPREAD: Duration = Duration::from_secs(2);
/// Fan-outs that are read at once, besides those that have just failed: each with its payload.
const READ: usize = 4;
/// Those that may fail until the next time.
const MAX_FAILED: usize = 256;

/// Goes on with fan-outs that nobody moves, whenever a beat says that there may be some.
pub(crate) async fn keep_fanning_out(dispatcher: Arc<Dispatcher>) {
    let mut retrying = Retrying::new("go on with events for many endpoints");
    loop {
        dispatcher.fan_out_work.notified().await;
        match finish_all(&dispatcher).await {
            Ok(()) => retrying.succeeded(),
            Err(error) => retrying.pause(&error).await,
        }
    }
}

/// Finishes what nobody moves. What fails is left for the next time, and holds up nothing beside it.
async fn finish_all(dispatcher: &Arc<Dispatcher>) -> Result<()> {
    let (mut failed, mut last_error) = (Vec::new(), None);
    while !dispatcher.is_stopping() && failed.len() < MAX_FAILED {
        let idle = IDLE + SPREAD.mul_f64(fastrand::f64());
        let since = dispatcher.clock.now().before(idle);
        let read = READ + failed.len();
        let mut found = dispatcher.storage.fan_outs(since, read).await?;
        found.retain(|found| !failed.contains(&found.event.event.id));
        if found.is_empty() {
            break;
        }
        dispatcher.refresh().await?;
        for FanOut { event, up_to } in found {
            let (id, tenant) = (event.event.id, event.event.tenant.as_ref());
            let mut lanes = dispatcher
                .directory
                .matches(tenant, &event.event.event_type);
            lanes.retain(|LaneRef(lane)| lane.endpoint_id > up_to);
            if let Err(error) = fan_out(dispatcher, event, lanes, PartPlace::Later).await {
                failed.push(id);
                last_error = Some(error);
            }
        }
    }
    last_error.map_or(Ok(()), Err)
}

/// Stores an event for these endpoints. `None` if the storage has it no more.
///
/// What fails after the first part is no error of the sender's: the event is stored, and goes on.
pub(crate) async fn fan_out(
    dispatcher: &Arc<Dispatcher>,
    event: NewEvent,
    mut lanes: Vec<LaneRef>,
    place: PartPlace,
) -> Result<Option<Sent>> {
    lanes.sort_unstable_by(|a, b| a.0.endpoint_id.cmp(&b.0.endpoint_id));
    let most = most_deliveries(event.event.payload.len());
    let id = |LaneRef(lane): &LaneRef| DeliveryId::of(event.event.id, &lane.endpoint_id);
    let mut delivery_ids = Vec::with_capacity(lanes.len());
    let (mut place, mut rest) = (place, lanes.as_slice());
    // Until a part is stored, nothing is.
    let mut has_begun = false;
    loop {
        let (some, others) = rest.split_at(most.min(rest.len()));
        let part = part(&event, some, place, !others.is_empty());
        match store(dispatcher, &part).await {
            Ok(Some(Enqueued::Stored { missing, .. })) => {
                let made = some.iter().map(id).filter(|id| !missing.contains(id));
                delivery_ids.extend(made);
            }
            Ok(Some(Enqueued::NoEndpoint)) => {}
            Ok(Some(duplicate)) => return Ok(Some(Sent::new(&event, duplicate))),
            Ok(None) if !has_begun => return Ok(None),
            Err(error) if !has_begun => return Err(error),
            Err(error) if !dispatcher.storage.keeps_fan_outs() => {
                return Err(error.perhaps_done());
            }
            // Another node has finished it, or it was erased, or another node will finish it.
            stopped => {
                if let Err(error) = stopped {
                    let source = error_source(&error);
                    tracing::warn!(%error, source, event_id = %event.event.id, "an event for many endpoints is stored in part, and goes on later");
                }
                delivery_ids.extend(rest.iter().map(id));
                break;
            }
        }
        (place, rest, has_begun) = (PartPlace::Later, others, true);
        if rest.is_empty() || dispatcher.is_stopping() && dispatcher.storage.keeps_fan_outs() {
            delivery_ids.extend(rest.iter().map(id));
            break;
        }
        // A storage in memory never waits.
        tokio::task::yield_now().await;
    }
    Ok(Some(Sent {
        event_id: event.event.id,
        delivery_ids,
    }))
}

fn part(event: &NewEvent, lanes: &[LaneRef], place: PartPlace, has_more: bool) -> FanOutPart {
    let delivery = |LaneRef(lane): &LaneRef| NewDelivery {
        id: DeliveryId::of(event.event.id, &lane.endpoint_id),
        endpoint_id: lane.endpoint_id.clone(),
        incarnation: Some(lane.incarnation),
        by_name: false,
        lease: false,
    };
    let last = lanes.last().filter(|_| has_more);
    FanOutPart {
        event: NewEvent {
            event: event.event.clone(),
            idempotency_key: event.idempotency_key.clone(),
            deliveries: lanes.iter().map(delivery).collect(),
            ..*event
        },
        place,
        up_to: last.map(|LaneRef(lane)| lane.endpoint_id.clone()),
    }
}

async fn store(dispatcher: &Arc<Dispatcher>, part: &FanOutPart) -> Result<Option<Enqueued>> {
    let turn = dispatcher.fan_out_turn.acquire().await;
    let now = dispatcher.clock.now();
    let stored = dispatcher.storage.fan_out(part, now).await?;
    drop(turn);
    if let Some(enqueued) = &stored {
        accept(dispatcher, &part.event, enqueued, SmallVec::new());
    }
    Ok(stored)
}

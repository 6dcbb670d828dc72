//! Brings ready deliveries from the storage into their lanes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use webhooks_core::storage::{Claim, ClaimRoom, Claimed};
use webhooks_core::{Clock, Result, Timestamp, WebhookDelivery};

use crate::dispatcher::Dispatcher;
use crate::lane::Lane;
use crate::moment;
use crate::retrying::{Retrying, error_source};

/// How often the storage is asked at least, for work that nobody told of.
const POLL: Duration = Duration::from_millis(1_600);
/// Deliveries of one claim at most.
const BATCH: usize = 512;
/// How long a delivery goes back for, of an endpoint that this process does not know yet, or knows
/// as closed though the storage let the delivery out.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

/// What one claim says about the next.
enum Asked {
    /// There was as much as was asked for: there is likely more, and room for it.
    Full,
    /// That was all, for now.
    Rest { next_due: Option<Timestamp> },
}

/// Claims whenever there may be work and there is room for it. The `first` claimer watches for
/// work; the others help it as long as claims come back full.
pub(crate) async fn claim_work(dispatcher: Arc<Dispatcher>, first: bool, help: Arc<Notify>) {
    let mut retrying = Retrying::new("claim deliveries");
    if !first {
        unless_stopped(&dispatcher, help.notified()).await;
    }
    while !dispatcher.is_stopping() {
        match claim(&dispatcher).await {
            Ok(Asked::Full) => help.notify_one(),
            Ok(Asked::Rest { next_due }) if first => {
                retrying.succeeded();
                unless_stopped(&dispatcher, wait_for_work(&dispatcher, next_due)).await;
            }
            Ok(Asked::Rest { .. }) => {
                retrying.succeeded();
                // The first asks when something is due next: it watches for that.
                dispatcher.work.notify_one();
                unless_stopped(&dispatcher, help.notified()).await;
            }
            Err(error) => {
                if error.outcome_unknown() {
                    // Perhaps only the answer was lost.
                    dispatcher.leases_unknown.notify_one();
                }
                retrying.pause(&error).await;
            }
        }
    }
}

/// Waits, but not beyond the end of the dispatcher.
async fn unless_stopped(dispatcher: &Dispatcher, wait: impl Future<Output = ()>) {
    tokio::select! {
        () = wait => {}
        () = dispatcher.stopped() => {}
    }
}

async fn wait_for_work(dispatcher: &Dispatcher, next_due: Option<Timestamp>) {
    let poll = Instant::now() + POLL;
    let due = next_due.map_or(poll, |at| dispatcher.clock.instant(at).min(poll));
    tokio::select! {
        () = dispatcher.work.notified() => {}
        () = tokio::time::sleep_until(due) => {}
        waited = dispatcher.storage.wait() => if let Err(error) = waited {
            // Without its wake-ups there is still the poll.
            tracing::warn!(%error, source = error_source(&error), "cannot wait for work");
            tokio::time::sleep_until(due).await;
        }
    }
}

async fn claim(dispatcher: &Arc<Dispatcher>) -> Result<Asked> {
    // Counted before it looks for room, so that no settlement that makes some goes unnoticed.
    let _claiming = dispatcher.hand.claiming();
    let (limit, room) = dispatcher.room();
    let limit = limit.min(BATCH);
    if limit == 0 || !dispatcher.heartbeat.is_valid(moment::now()) {
        dispatcher.hand.left_some();
        return Ok(Asked::Rest { next_due: None });
    }
    let era = dispatcher.heartbeat.era();
    let per_endpoint = per_endpoint(dispatcher);
    let asks_for_suspect = dispatcher.suspect.ask();
    let claimed = ask(dispatcher, limit, &room, asks_for_suspect).await;
    if asks_for_suspect {
        let deliveries = claimed.as_ref().map(|claimed| &*claimed.deliveries);
        dispatcher.suspect.brought(deliveries.unwrap_or_default());
    }
    let claimed = claimed?;
    let full = claimed.deliveries.len() >= limit;
    if !dispatcher.still_holds(era) {
        // Perhaps claimed before the leases were lost; or nothing may start any more.
        let now = dispatcher.clock.now();
        send_back(dispatcher, &claimed.deliveries, now);
        return Ok(Asked::Full);
    }
    if !full {
        dispatcher.hand.backlog_ends(&room);
    }
    let is_without_room = |room: &ClaimRoom| room.deliveries == 0;
    if full || !asks_for_suspect || room.iter().any(is_without_room) {
        dispatcher.hand.left_some();
    }
    let rooms = room.iter().map(|r| (&*r.endpoint_id, r.deliveries));
    let rooms: HashMap<_, _> = rooms.collect();
    let mut asks_again = full;
    for (endpoint_id, deliveries) in by_endpoint(claimed.deliveries) {
        let asked = rooms.get(&*endpoint_id).copied().unwrap_or(per_endpoint);
        let more = full || deliveries.len() >= asked;
        let has_room = take(dispatcher, &endpoint_id, deliveries, more, era).await;
        asks_again |= more && has_room;
    }
    dispatcher.dispatch();
    Ok(if asks_again {
        Asked::Full
    } else {
        Asked::Rest {
            next_due: claimed.next_due,
        }
    })
}

/// Claims, and takes note of what came: at once, since to find the lanes may take long.
async fn ask(
    dispatcher: &Dispatcher,
    limit: usize,
    room: &[ClaimRoom],
    asks_for_suspect: bool,
) -> Result<Claimed> {
    let worker = dispatcher.worker();
    let claim = Claim {
        worker: &worker,
        now: dispatcher.clock.now(),
        limit,
        per_endpoint: per_endpoint(dispatcher),
        room,
        poison_suspects: usize::from(asks_for_suspect),
        rate_limit: dispatcher.settings.rate_limit,
    };
    let mut claimed = dispatcher.storage.claim(&claim).await?;
    dispatcher.hand.leases.arrive(&mut claimed.deliveries);
    Ok(claimed)
}

const fn per_endpoint(dispatcher: &Dispatcher) -> usize {
    2 * dispatcher.settings.max_in_flight_per_endpoint
}

fn by_endpoint(deliveries: Vec<WebhookDelivery>) -> HashMap<Arc<str>, Vec<WebhookDelivery>> {
    let mut by_endpoint = HashMap::<_, Vec<_>>::new();
    for delivery in deliveries {
        match by_endpoint.get_mut(&delivery.endpoint_id) {
            Some(of_endpoint) => of_endpoint.push(delivery),
            None => drop(by_endpoint.insert(delivery.endpoint_id.clone(), vec![delivery])),
        }
    }
    by_endpoint
}

/// Takes in hand what was claimed of an endpoint, of which there may be `more`. Whether there is
/// room for that.
async fn take(
    dispatcher: &Arc<Dispatcher>,
    endpoint_id: &Arc<str>,
    mut deliveries: Vec<WebhookDelivery>,
    more: bool,
    era: u64,
) -> bool {
    let newest = deliveries.iter().map(|delivery| delivery.incarnation).max();
    let lane = find(dispatcher, endpoint_id, newest.unwrap_or(0)).await;
    let later = dispatcher.clock.now().after(UNKNOWN_PAUSE);
    let Some(lane) = lane else {
        send_back(dispatcher, &deliveries, later);
        return false;
    };
    // The storage cancels what is of an earlier one, and keeps what is of one unknown here.
    let of_others = deliveries.extract_if(.., |d| d.incarnation != lane.incarnation);
    let of_others: Vec<_> = of_others.collect();
    send_back(dispatcher, &of_others, later);
    if more {
        dispatcher.hand.has_backlog(&lane);
    }
    let suspects = deliveries.extract_if(.., |delivery| delivery.is_poison_suspect());
    let suspects: Vec<_> = suspects.collect();
    dispatcher.accept(&lane, deliveries, era);
    // One at most, as was asked for.
    for suspect in suspects {
        dispatcher.accept_suspect(&lane, suspect, era);
    }
    dispatcher.room_of(&lane) > 0
}

/// Gives back what cannot be taken in hand, due at `at`.
fn send_back(dispatcher: &Dispatcher, deliveries: &[WebhookDelivery], at: Timestamp) {
    for delivery in deliveries {
        dispatcher.release(None, delivery, at);
    }
}

/// The lane that deliveries which were claimed now can go into.
async fn find(
    dispatcher: &Arc<Dispatcher>,
    endpoint_id: &str,
    incarnation: u64,
) -> Option<Arc<Lane>> {
    let open_lane = || {
        let now = dispatcher.clock.now();
        let lane = dispatcher.directory.get(endpoint_id)?;
        let is_known = lane.incarnation >= incarnation;
        let is_open = is_known && lane.lock().is_open(now);
        is_open.then_some(lane)
    };
    if let Some(lane) = open_lane() {
        return Some(lane);
    }
    // Another process has just registered, opened or deleted it. What goes back due at once would
    // come out again at once, until this process knows too.
    dispatcher.try_refresh().await;
    open_lane()
}

//! Writes down what came of deliveries, many at a time.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use webhooks_core::storage::spi::{EndpointGate, GateChange, SettleAs, Settled, Settlement};
use webhooks_core::{AttemptRecord, Clock, Result, Timestamp, WebhookError, WebhookEvent};

use crate::dispatcher::Dispatcher;
use crate::lane::{Lane, LaneState};
use crate::moment;
use crate::notice::Notice;
use crate::parked::Parked;
use crate::parts::{Parts, check_answers};
use crate::recorder::Entry;
use crate::retrying::Retrying;

/// Entries of one call at most.
const BATCH: usize = 512;
/// Bytes of one call at most, but for an entry that has more.
const BATCH_BYTES: usize = 8 << 20;
/// A call with so many entries shows that more are about to come.
const BUSY: usize = 16;
/// How long the next call then waits for them: fewer and larger calls cost the storage less.
const GATHER: Duration = Duration::from_millis(2);

/// Writes entries down for as long as the system lives. While one batch is written the next fills.
pub(crate) async fn write_down(
    mut entries: mpsc::UnboundedReceiver<Entry>,
    dispatcher: Arc<Dispatcher>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut parked = Parked::new();
    let mut is_busy = false;
    loop {
        tokio::select! {
            count = entries.recv_many(&mut batch, BATCH) => if count == 0 { break },
            () = parked.is_due() => {}
        }
        if is_busy {
            sleep(GATHER).await;
            let room = BATCH.saturating_sub(batch.len());
            batch.extend(iter::from_fn(|| entries.try_recv().ok()).take(room));
        }
        is_busy = batch.len() >= BUSY;
        parked.join(&mut batch);
        let count = batch.len();
        let kept = parked.len();
        let (mut gates, mut settlements) = (Vec::new(), Vec::with_capacity(count));
        let (mut of_whom, mut notices) = (Vec::with_capacity(count), Vec::new());
        for entry in batch.drain(..) {
            match entry {
                Entry::Settle {
                    settlement,
                    event,
                    lane,
                } => {
                    settlements.push(settlement);
                    of_whom.push((event, lane));
                }
                Entry::Gate(gate, notice) => {
                    gates.push(gate);
                    notices.push(notice);
                }
            }
        }
        // Gates first, so that what is given back does not come out again at once.
        set_gates(&dispatcher, gates, notices, &mut parked).await;
        let is_work = settle_all(&dispatcher, settlements, of_whom, &mut parked).await;
        let recorder = &dispatcher.recorder;
        let new = parked.len() - kept;
        recorder.wrote(count - new, parked.len());
        if is_work || dispatcher.hand.wants_more() {
            dispatcher.work.notify_one();
        }
    }
}

/// Settles deliveries, and parks what the storage refuses. Whether there may be work now.
async fn settle_all(
    dispatcher: &Arc<Dispatcher>,
    settlements: Vec<Settlement>,
    of_whom: Vec<(Arc<WebhookEvent>, Option<Arc<Lane>>)>,
    parked: &mut Parked,
) -> bool {
    let (settled, has_settled_before) = settle(dispatcher, &settlements).await;
    let mut is_work = settlements.iter().any(goes_back);
    // Those that are parked too: their requests have ended, and the process is still there.
    is_work |= dispatcher.suspect.settled(&settlements);
    let mut lanes = Vec::with_capacity(settlements.len());
    let mut leases = Vec::with_capacity(settlements.len());
    for ((settled, settlement), (event, lane)) in settled.into_iter().zip(settlements).zip(of_whom)
    {
        let settled = match settled {
            Ok(settled) => settled,
            Err(error) => {
                let entry = Entry::Settle {
                    settlement,
                    event,
                    lane,
                };
                parked.keep(entry, &error);
                continue;
            }
        };
        leases.push((settlement.delivery_id, settlement.token));
        let is_stored = match settled {
            Settled::Applied => true,
            Settled::Stale => has_settled_before,
            Settled::Cancelled => false,
        };
        if is_stored {
            tell(dispatcher, &settlement, &event);
        } else if settled == Settled::Stale && settlement.attempt.is_some() {
            warn(&settlement);
        }
        lanes.extend(lane);
    }
    dispatcher.hand.leases.settled(&leases);
    is_work | dispatcher.hand.take_out_all(&lanes)
}

/// Tells of an attempt that is stored.
fn tell(dispatcher: &Dispatcher, settlement: &Settlement, event: &WebhookEvent) {
    if let Some(attempt) = &settlement.attempt {
        let notice = || Notice::of_attempt(settlement, attempt, event);
        dispatcher.notices.tell(notice);
    }
}

fn warn(settlement: &Settlement) {
    tracing::warn!(
        delivery_id = %settlement.delivery_id,
        endpoint_id = %settlement.endpoint_id,
        "the lease was lost before the attempt was settled; it may run twice"
    );
}

/// Whether the delivery waits again in the storage.
const fn goes_back(settlement: &Settlement) -> bool {
    matches!(
        settlement.settle_as,
        SettleAs::Retry { .. } | SettleAs::Release { .. }
    )
}

/// Stores gates, tells of those that are, and parks what the storage refuses.
async fn set_gates(
    dispatcher: &Arc<Dispatcher>,
    gates: Vec<EndpointGate>,
    notices: Vec<Option<Notice>>,
    parked: &mut Parked,
) {
    if gates.is_empty() {
        return;
    }
    let since = dispatcher.directory.revision();
    let mut refused = store_gates(dispatcher, &gates).await;
    let later: Vec<_> = gates.iter().map(|gate| gate.endpoint_id.clone()).collect();
    let (mut stored, mut told) = (Vec::with_capacity(gates.len()), Vec::new());
    for (n, (gate, notice)) in gates.into_iter().zip(notices).enumerate() {
        match refused.remove(&n) {
            None => {
                stored.push(gate);
                told.push(notice);
            }
            Some(error) => {
                let stored_later = |m: &usize| !refused.contains_key(m);
                let mut of_endpoint = (n + 1..later.len()).filter(stored_later);
                // What was decided since must not be undone by it.
                if !of_endpoint.any(|m| later.get(m) == Some(&gate.endpoint_id)) {
                    parked.keep(Entry::Gate(gate, notice), &error);
                }
            }
        }
    }
    dispatcher.work.notify_one();
    gates_stored(dispatcher, &stored, since).await;
    for (gate, notice) in stored.iter().zip(told) {
        let lane = dispatcher.directory.get(&gate.endpoint_id);
        let is_void = lane.is_some_and(|lane| !lane.lock().is_in(gate.epoch));
        if let Some(notice) = notice.filter(|_| !is_void) {
            dispatcher.notices.tell(|| notice);
        }
    }
}

/// Those that the storage refuses for good, by their places.
async fn store_gates(
    dispatcher: &Dispatcher,
    gates: &[EndpointGate],
) -> HashMap<usize, WebhookError> {
    let mut refused = HashMap::new();
    let mut parts = Parts::new(gates.iter().map(|_| 0), BATCH, BATCH_BYTES);
    let mut retrying = Retrying::new("change gates");
    while let Some(part) = parts.next() {
        let some = gates.get(part.clone()).unwrap_or_default();
        loop {
            let now = dispatcher.clock.now();
            match dispatcher.storage.set_gates(some, now).await {
                Ok(()) => break dispatcher.recorder.written(),
                Err(error) if error.is_transient() => {
                    dispatcher.recorder.failed();
                    retrying.pause(&error).await;
                }
                Err(error) => {
                    if !parts.split(&part) {
                        refused.insert(part.start, error);
                    }
                    break;
                }
            }
        }
    }
    refused
}

/// Takes over that these gates are stored, which were read from the storage `since` a revision.
async fn gates_stored(dispatcher: &Arc<Dispatcher>, gates: &[EndpointGate], since: u64) {
    // A page of endpoints from before the gates may still be on its way here.
    let none_is_read = dispatcher.directory.pause_refreshing().await;
    let (mut closed, mut must_read) = (Vec::new(), false);
    for gate in gates {
        let until = match gate.change {
            GateChange::Hold { until } => Some(until),
            GateChange::Disable(_) => None,
            _ => continue,
        };
        if let Some(lane) = dispatcher.directory.get(&gate.endpoint_id) {
            // What was read since may know of the hold, and of who has ended it since.
            must_read |= until.is_none() || lane.lock().record.revision > since;
            closed.push((lane, gate.epoch, until));
        }
    }
    if !must_read {
        each_in_its_epoch(&closed, LaneState::was_stored);
        return;
    }
    drop(none_is_read);
    if dispatcher.try_refresh().await {
        each_in_its_epoch(&closed, LaneState::was_read);
    }
}

/// Acts on what was stored, but for what the storage has passed over because it was void.
fn each_in_its_epoch(
    closed: &[(Arc<Lane>, Option<u64>, Option<Timestamp>)],
    act: impl Fn(&mut LaneState, Option<Timestamp>),
) {
    for (lane, epoch, until) in closed {
        let mut state = lane.lock();
        if state.is_in(*epoch) {
            act(&mut state, *until);
        }
    }
}

/// What became of each settlement, or why the storage refuses it for good; and whether what is stale
/// was settled by an earlier try whose answer was lost: the leases were held all the time.
async fn settle(
    dispatcher: &Dispatcher,
    settlements: &[Settlement],
) -> (Vec<Result<Settled>>, bool) {
    let era = dispatcher.heartbeat.era();
    let mut perhaps_before = false;
    let mut all = Vec::with_capacity(settlements.len());
    let mut parts = Parts::new(settlements.iter().map(weight), BATCH, BATCH_BYTES);
    let mut retrying = Retrying::new("settle deliveries");
    while let Some(part) = parts.next() {
        let some = settlements.get(part.clone()).unwrap_or_default();
        loop {
            let (now, worker) = (dispatcher.clock.now(), dispatcher.worker());
            let settled = dispatcher.storage.settle(&worker, some, now);
            let settled = settled.await.and_then(|s| check_answers(some.len(), s));
            let error = match settled {
                Ok(settled) => {
                    dispatcher.recorder.written();
                    all.extend(settled.into_iter().map(Ok));
                    break;
                }
                Err(error) => error,
            };
            perhaps_before |= error.outcome_unknown();
            if error.is_transient() {
                dispatcher.recorder.failed();
                retrying.pause(&error).await;
                continue;
            }
            // Parts come in the order of their items, so that answers do too.
            if !parts.split(&part) {
                all.push(Err(error));
            }
            break;
        }
    }
    let heartbeat = &dispatcher.heartbeat;
    let holds = heartbeat.is_valid(moment::now()) && heartbeat.era() == era;
    (all, perhaps_before && holds)
}

fn weight(settlement: &Settlement) -> usize {
    let response = |attempt: &AttemptRecord| attempt.response.len();
    size_of::<Settlement>() + settlement.attempt.as_ref().map_or(0, response)
}

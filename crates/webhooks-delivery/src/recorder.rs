//! Writes down what came of deliveries, many at a time.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use webhooks_core::storage::{EndpointGate, GateChange, SettleAs, Settled, Settlement};
use webhooks_core::{Clock, WebhookEvent};

use crate::dispatcher::Dispatcher;
use crate::lane::Lane;
use crate::notice::Notice;
use crate::retrying::Retrying;

/// Entries of one call at most.
const BATCH: usize = 512;
/// A call with so many entries shows that more are about to come.
const BUSY: usize = 16;
/// How long the next call then waits for them: fewer and larger calls cost the storage less.
const GATHER: Duration = Duration::from_millis(2);

/// Something to be written down.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What came of a delivery.
    Settle {
        settlement: Settlement,
        /// What was delivered, for who is told of it.
        event: Arc<WebhookEvent>,
        /// Whose it is; `None` if it was never taken in hand.
        lane: Option<Arc<Lane>>,
    },
    /// A change of an endpoint's gate, and what to tell once it is stored.
    Gate(EndpointGate, Option<Notice>),
}

/// The end that takes entries. They are as many as deliveries are in hand, which is bounded.
#[derive(Debug)]
pub(crate) struct Recorder {
    entries: mpsc::UnboundedSender<Entry>,
    /// Entries that are not written down yet.
    unwritten: AtomicUsize,
}

impl Recorder {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Entry>) {
        let (entries, written) = mpsc::unbounded_channel();
        let unwritten = AtomicUsize::new(0);
        (Self { entries, unwritten }, written)
    }

    pub(crate) fn record(&self, entry: Entry) {
        self.unwritten.fetch_add(1, Ordering::SeqCst);
        // Fails only once the system was dropped: then the storage's rescue settles it.
        drop(self.entries.send(entry));
    }

    /// Whether everything is written down.
    pub(crate) fn is_idle(&self) -> bool {
        self.unwritten.load(Ordering::SeqCst) == 0
    }
}

/// Writes entries down for as long as the system lives. While one batch is written the next fills.
pub(crate) async fn write_down(
    mut entries: mpsc::UnboundedReceiver<Entry>,
    dispatcher: Arc<Dispatcher>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_busy = false;
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        if is_busy {
            sleep(GATHER).await;
            batch.extend(iter::from_fn(|| entries.try_recv().ok()).take(BATCH - batch.len()));
        }
        let count = batch.len();
        is_busy = count >= BUSY;
        let (mut gates, mut settlements) = (Vec::new(), Vec::with_capacity(batch.len()));
        let (mut of_whom, mut notices) = (Vec::with_capacity(batch.len()), Vec::new());
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
                    notices.extend(notice);
                }
            }
        }
        // Gates first, so that what is given back does not come out again at once.
        set_gates(&dispatcher, &gates).await;
        for notice in notices {
            dispatcher.notices.tell(|| notice);
        }
        let (settled, has_settled_before) = settle(&dispatcher, &settlements).await;
        let mut is_work = !gates.is_empty() || settlements.iter().any(goes_back);
        let mut lanes = Vec::with_capacity(settlements.len());
        for ((settled, settlement), (event, lane)) in
            settled.into_iter().zip(&settlements).zip(of_whom)
        {
            let is_stored = match settled {
                Settled::Applied => true,
                Settled::Stale => has_settled_before,
                Settled::Cancelled => false,
            };
            if is_stored {
                tell(&dispatcher, settlement, &event);
            } else if settled == Settled::Stale && settlement.attempt.is_some() {
                warn(settlement);
            }
            lanes.extend(lane);
        }
        is_work |= dispatcher.hand.take_out_all(&lanes);
        is_work |= dispatcher.suspect.settled(&settlements);
        let unwritten = &dispatcher.recorder.unwritten;
        unwritten.fetch_sub(count, Ordering::SeqCst);
        if is_work || dispatcher.hand.wants_more() {
            dispatcher.work.notify_one();
        }
    }
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

async fn set_gates(dispatcher: &Arc<Dispatcher>, gates: &[EndpointGate]) {
    if gates.is_empty() {
        return;
    }
    let since = dispatcher.directory.revision();
    let mut retrying = Retrying::new("change gates");
    while let Err(error) = dispatcher
        .storage
        .set_gates(gates, dispatcher.clock.now())
        .await
    {
        retrying.pause(&error).await;
    }
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
            closed.push((lane, until));
        }
    }
    if !must_read {
        closed
            .iter()
            .for_each(|(lane, until)| lane.lock().was_stored(*until));
        return;
    }
    drop(none_is_read);
    if dispatcher.try_refresh().await {
        closed
            .iter()
            .for_each(|(lane, until)| lane.lock().was_read(*until));
    }
}

/// What became of the settlements, and whether what is stale was settled by an earlier try whose
/// answer was lost: the leases were held all the time.
async fn settle(dispatcher: &Dispatcher, settlements: &[Settlement]) -> (Vec<Settled>, bool) {
    if settlements.is_empty() {
        return (Vec::new(), false);
    }
    let era = dispatcher.heartbeat.era();
    let mut is_again = false;
    let mut retrying = Retrying::new("settle deliveries");
    loop {
        let now = dispatcher.clock.now();
        match dispatcher
            .storage
            .settle(&dispatcher.worker, settlements, now)
            .await
        {
            Ok(settled) => {
                let heartbeat = &dispatcher.heartbeat;
                let holds = heartbeat.is_valid(Instant::now()) && heartbeat.era() == era;
                return (settled, is_again && holds);
            }
            Err(error) => retrying.pause(&error).await,
        }
        is_again = true;
    }
}

//! Stores events, many senders' in one commit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use webhooks_core::storage::spi::{Enqueued, NewDelivery, NewEvent};
use webhooks_core::{Clock, DeliveryId, Lease, Result, WebhookDelivery, WebhookError};

use crate::dispatcher::Dispatcher;
use crate::one_or_more::OneOrMore;
use crate::outgoing::Sent;
use crate::parts::check_answers;
use crate::reservation::Reservation;

/// Events of one commit at most.
const BATCH: usize = 256;
/// Bytes that one commit stores at most, but for an event that has more: a database has a longest
/// message, and serves others meanwhile only where its calls are short.
pub(crate) const BATCH_BYTES: usize = 8 << 20;
/// What a delivery counts as at least, of these: no commit has more than 256. For as many endpoints
/// Redis takes ten milliseconds, in which it does nothing else.
const DELIVERY_WEIGHT: usize = 32 << 10;
/// Events that wait for their commit at most.
const QUEUE: usize = 16_384;
/// Bytes of events that wait for their commit at most, with their deliveries.
const QUEUE_BYTES: usize = 256 << 20;
/// Bytes of a delivery that waits for its commit, with its reservation.
const DELIVERY_BYTES: usize = size_of::<NewDelivery>() + size_of::<(usize, Reservation)>();

/// What an event with so many deliveries counts as, of the bytes of a commit. Some storages keep the
/// payload with each delivery.
pub(crate) fn weight(payload: usize, deliveries: usize) -> usize {
    let each = payload.max(DELIVERY_WEIGHT);
    each.saturating_mul(deliveries).max(payload)
}

/// Deliveries of an event with this payload that one commit stores at most.
pub(crate) fn most_deliveries(payload: usize) -> usize {
    (BATCH_BYTES / payload.max(DELIVERY_WEIGHT)).max(1)
}

/// An event on its way into the storage.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) event: NewEvent,
    /// For deliveries that are stored leased: which of the event's, and its place.
    pub(crate) reservations: OneOrMore<(usize, Reservation)>,
}

/// Where a sender waits for what became of its events.
type Answer = oneshot::Sender<Result<OneOrMore<Sent>>>;

/// What one sender wants stored together.
#[derive(Debug)]
struct Queued {
    sendings: OneOrMore<Sending>,
    answer: Answer,
    bytes: OwnedSemaphorePermit,
}

impl Queued {
    fn weight(&self) -> usize {
        let events = self.sendings.iter().map(|sending| &sending.event);
        let weights = events.map(|new| weight(new.event.payload.len(), new.deliveries.len()));
        weights.fold(0, usize::saturating_add)
    }
}

/// The end that takes events.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
}

impl Committer {
    /// A committer, and its task.
    pub(crate) fn new(dispatcher: Arc<Dispatcher>) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let bytes = Arc::new(Semaphore::new(QUEUE_BYTES));
        (Self { queue, bytes }, commit_all(queued, dispatcher))
    }

    /// Stores events in one commit, with those that others send at the same time.
    pub(crate) async fn store(&self, sendings: OneOrMore<Sending>) -> Result<OneOrMore<Sent>> {
        let events = || sendings.iter().map(|sending| &sending.event);
        let bytes: usize = events().map(|new| new.event.payload.len()).sum();
        if bytes > QUEUE_BYTES {
            let text = format!("the events are {bytes} bytes together, at most {QUEUE_BYTES}");
            return Err(WebhookError::InvalidEvent(text.into()));
        }
        let deliveries: usize = events().map(|new| new.deliveries.len()).sum();
        let bytes = self.hold(bytes + deliveries * DELIVERY_BYTES)?;
        let (answer, answered) = oneshot::channel();
        let queued = Queued {
            sendings,
            answer,
            bytes,
        };
        self.queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => full(),
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        // It may have been on its way into the storage.
        answered.await.map_err(|_| ended().perhaps_done())?
    }

    /// Takes so many of the bytes that may wait.
    pub(crate) fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        // However many endpoints one call is for, it may wait alone.
        let bytes = u32::try_from(bytes.min(QUEUE_BYTES)).map_err(|_| full())?;
        let held = self.bytes.clone().try_acquire_many_owned(bytes);
        held.map_err(|_| full())
    }

    /// Whether its task runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Whether no event waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.bytes.available_permits() == QUEUE_BYTES
    }
}

fn full() -> WebhookError {
    WebhookError::Overloaded("the queue of events to be stored is full".into())
}

fn ended() -> WebhookError {
    WebhookError::ShutDown("the system has ended".into())
}

async fn commit_all(mut queued: mpsc::Receiver<Queued>, dispatcher: Arc<Dispatcher>) {
    // One that the last commit had no room left for.
    let mut kept = None;
    loop {
        let first = match kept.take() {
            Some(first) => first,
            None => match queued.recv().await {
                Some(first) => first,
                None => break,
            },
        };
        others_come(&queued).await;
        let mut batch = Batch::default();
        let mut weight = first.weight();
        batch.push(first);
        while batch.events.len() < BATCH {
            let Ok(next) = queued.try_recv() else { break };
            weight = weight.saturating_add(next.weight());
            if weight > BATCH_BYTES {
                kept = Some(next);
                break;
            }
            batch.push(next);
        }
        commit(&dispatcher, batch).await;
    }
}

/// Lets the senders that the last commit answered send again first, and share the next one: until
/// no more of them come, or enough are there.
async fn others_come(queued: &mpsc::Receiver<Queued>) {
    let mut there = None;
    while there != Some(queued.len()) && queued.len() < BATCH {
        there = Some(queued.len());
        tokio::task::yield_now().await;
    }
}

/// What goes into one commit.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<NewEvent>,
    /// Of each event.
    reservations: Vec<OneOrMore<(usize, Reservation)>>,
    /// How many of the events are whose, in order.
    senders: Vec<(usize, Answer, OwnedSemaphorePermit)>,
}

impl Batch {
    fn push(
        &mut self,
        Queued {
            sendings,
            answer,
            bytes,
        }: Queued,
    ) {
        self.senders.push((sendings.len(), answer, bytes));
        for Sending {
            event,
            reservations,
        } in sendings
        {
            self.events.push(event);
            self.reservations.push(reservations);
        }
    }

    /// Takes what is leased in hand, starts what can start, and tells the senders.
    fn stored(self, dispatcher: &Arc<Dispatcher>, stored: Vec<Enqueued>) {
        let mut sent = Vec::with_capacity(self.events.len());
        for ((event, enqueued), reservations) in
            self.events.iter().zip(stored).zip(self.reservations)
        {
            accept(dispatcher, event, &enqueued, reservations);
            sent.push(Sent::new(event, enqueued));
        }
        dispatcher.dispatch();
        let mut sent = sent.into_iter();
        for (count, answer, _) in self.senders {
            // The sender may have been dropped: its events are sent all the same.
            drop(answer.send(Ok(sent.by_ref().take(count).collect())));
        }
    }

    /// Tells the senders, and gives back what may be stored and leased, though its answer was lost.
    fn failed(self, dispatcher: &Dispatcher, error: &WebhookError) {
        let mut is_leased = false;
        for (event, reservations) in self.events.iter().zip(self.reservations) {
            for (n, reservation) in reservations {
                if let Some(delivery) = leased(dispatcher, event, n) {
                    reservation.disown(&delivery);
                    is_leased = true;
                }
            }
        }
        if is_leased && error.outcome_unknown() {
            // The storage may do it only after that.
            dispatcher.leases_unknown.notify_one();
        }
        for (_, answer, _) in self.senders {
            drop(answer.send(Err(error.clone())));
        }
    }

    /// The senders in two halves.
    fn halves(mut self) -> [Self; 2] {
        let senders = self.senders.split_off(self.senders.len() / 2);
        let events = self.senders.iter().map(|(count, ..)| count).sum();
        let second = Self {
            events: self.events.split_off(events),
            reservations: self.reservations.split_off(events),
            senders,
        };
        [self, second]
    }
}

async fn commit(dispatcher: &Arc<Dispatcher>, batch: Batch) {
    let mut left = vec![batch];
    while let Some(batch) = left.pop() {
        match enqueue(dispatcher, &batch).await {
            Ok(stored) => batch.stored(dispatcher, stored),
            // One sender's event must not fail those of the others. To store twice what a refusal
            // did store after all changes nothing.
            Err(error) if batch.senders.len() > 1 && is_refusal(&error) => {
                let [first, second] = batch.halves();
                left.extend([second, first]);
            }
            Err(error) => batch.failed(dispatcher, &error),
        }
    }
}

async fn enqueue(dispatcher: &Dispatcher, batch: &Batch) -> Result<Vec<Enqueued>> {
    let (now, worker) = (dispatcher.clock.now(), dispatcher.worker());
    let stored = dispatcher
        .storage
        .enqueue(&batch.events, Some(&worker), now)
        .await?;
    check_answers(batch.events.len(), stored)
}

/// Whether the storage refused what was to be stored, so that less of it may fare better.
fn is_refusal(error: &WebhookError) -> bool {
    match error {
        WebhookError::Overloaded(_) => true,
        WebhookError::StorageError(_) => !error.is_transient(),
        _ => false,
    }
}

/// Takes in hand what was stored leased, and sees to the rest being claimed.
pub(crate) fn accept(
    dispatcher: &Arc<Dispatcher>,
    event: &NewEvent,
    enqueued: &Enqueued,
    reservations: OneOrMore<(usize, Reservation)>,
) {
    let Enqueued::Stored { missing, dead } = enqueued else {
        return;
    };
    let gone = |id: &DeliveryId| missing.contains(id) || dead.contains(id);
    let all_leased = reservations.len() == event.deliveries.len();
    for (n, reservation) in reservations {
        let delivery = leased(dispatcher, event, n).filter(|d| !gone(&d.id));
        if let Some(delivery) = delivery.filter(|d| dispatcher.hand.leases.arrives(d)) {
            reservation.use_for(delivery);
        }
    }
    if all_leased {
        return;
    }
    if event.due_at > dispatcher.clock.now() {
        return dispatcher.work.notify_one();
    }
    for delivery in event.deliveries.iter().filter(|delivery| !delivery.lease) {
        let lane = dispatcher.directory.get(&delivery.endpoint_id);
        let is_full = lane.is_some_and(|lane| {
            dispatcher.hand.has_backlog(&lane);
            dispatcher.is_full(&lane)
        });
        // What makes room there looks for work.
        if !is_full {
            dispatcher.work.notify_one();
        }
    }
}

/// The event's delivery number `n`, as it was leased with the enqueue.
fn leased(dispatcher: &Dispatcher, event: &NewEvent, n: usize) -> Option<WebhookDelivery> {
    let new = event.deliveries.get(n)?;
    Some(WebhookDelivery {
        id: new.id,
        endpoint_id: new.endpoint_id.clone(),
        incarnation: new.incarnation.unwrap_or(0),
        by_name: new.by_name,
        event: event.event.clone(),
        priority: event.priority,
        due_at: event.due_at,
        attempts: 0,
        max_retries: event.max_retries,
        crashes: 0,
        lease: Some(Lease {
            worker: dispatcher.worker(),
            token: 1,
        }),
        endpoint: None,
    })
}

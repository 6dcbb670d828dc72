//! Stores events, many senders' in one commit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use webhooks_core::storage::{Enqueued, NewEvent};
use webhooks_core::{Clock, DeliveryId, Lease, Result, WebhookDelivery, WebhookError};

use crate::dispatcher::{Dispatcher, Reservation};

/// Events of one commit at most.
const BATCH: usize = 256;
/// Events that wait for their commit at most.
const QUEUE: usize = 16_384;
/// Bytes of events that wait for their commit at most.
const QUEUE_BYTES: usize = 256 << 20;

/// An event on its way into the storage.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) event: NewEvent,
    /// For deliveries that start as soon as they are stored: which of the event's, and the right
    /// to start it.
    pub(crate) reservations: Vec<(usize, Reservation)>,
}

/// What one sender wants stored together.
#[derive(Debug)]
struct Queued {
    sendings: Vec<Sending>,
    answer: oneshot::Sender<Result<Vec<Enqueued>>>,
    _bytes: OwnedSemaphorePermit,
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
    pub(crate) async fn store(&self, sendings: Vec<Sending>) -> Result<Vec<Enqueued>> {
        let full = || WebhookError::Overloaded("the queue of events to be stored is full".into());
        let bytes: usize = sendings
            .iter()
            .map(|sending| sending.event.event.payload.len())
            .sum();
        let bytes = u32::try_from(bytes).map_err(|_| full())?;
        let bytes = self
            .bytes
            .clone()
            .try_acquire_many_owned(bytes)
            .map_err(|_| full())?;
        let (answer, answered) = oneshot::channel();
        let queued = Queued {
            sendings,
            answer,
            _bytes: bytes,
        };
        self.queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => full(),
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        answered.await.map_err(|_| ended())?
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

fn ended() -> WebhookError {
    WebhookError::ShutDown("the system has ended".into())
}

async fn commit_all(mut queued: mpsc::Receiver<Queued>, dispatcher: Arc<Dispatcher>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queued.recv_many(&mut batch, BATCH).await > 0 {
        commit(&dispatcher, batch.drain(..)).await;
    }
}

async fn commit(dispatcher: &Arc<Dispatcher>, batch: impl Iterator<Item = Queued>) {
    let mut events = Vec::new();
    let mut reservations = Vec::new();
    let mut senders = Vec::new();
    for Queued {
        sendings,
        answer,
        _bytes,
    } in batch
    {
        senders.push((sendings.len(), answer, _bytes));
        for sending in sendings {
            events.push(sending.event);
            reservations.push(sending.reservations);
        }
    }
    let now = dispatcher.clock.now();
    match dispatcher
        .storage
        .enqueue(&events, Some(&dispatcher.worker), now)
        .await
    {
        Ok(stored) => {
            for ((event, enqueued), reservations) in events.iter().zip(&stored).zip(reservations) {
                start(dispatcher, event, enqueued, reservations);
            }
            let mut stored = stored.into_iter();
            for (count, answer, _) in senders {
                // The sender may have been dropped: its events are sent all the same.
                drop(answer.send(Ok(stored.by_ref().take(count).collect())));
            }
        }
        Err(error) => {
            for (event, reservations) in events.iter().zip(reservations) {
                // Perhaps only the answer was lost, and they are stored and leased.
                for (n, reservation) in reservations {
                    if let Some(delivery) = leased(dispatcher, event, n) {
                        reservation.disown(&delivery);
                    }
                }
            }
            for (_, answer, _) in senders {
                drop(answer.send(Err(error.clone())));
            }
        }
    }
}

/// Starts what was stored leased, and sees to the rest being claimed.
fn start(
    dispatcher: &Arc<Dispatcher>,
    event: &NewEvent,
    enqueued: &Enqueued,
    reservations: Vec<(usize, Reservation)>,
) {
    let Enqueued::Stored { missing, dead } = enqueued else {
        return;
    };
    let gone = |id: &DeliveryId| missing.contains(id) || dead.contains(id);
    let all_start = reservations.len() == event.deliveries.len();
    for (n, reservation) in reservations {
        if let Some(delivery) = leased(dispatcher, event, n).filter(|d| !gone(&d.id)) {
            reservation.start(delivery);
        }
    }
    if all_start {
        return;
    }
    if event.due_at <= dispatcher.clock.now() {
        for delivery in event.deliveries.iter().filter(|delivery| !delivery.lease) {
            if let Some(lane) = dispatcher.directory.get(&delivery.endpoint_id) {
                dispatcher.has_backlog(&lane);
            }
        }
    }
    dispatcher.look_for_work();
}

/// The event's delivery number `n`, as it was leased with the enqueue.
fn leased(dispatcher: &Dispatcher, event: &NewEvent, n: usize) -> Option<WebhookDelivery> {
    let new = event.deliveries.get(n)?;
    Some(WebhookDelivery {
        id: new.id,
        endpoint_id: new.endpoint_id.clone(),
        event: event.event.clone(),
        priority: event.priority,
        due_at: event.due_at,
        attempts: 0,
        max_retries: event.max_retries,
        crashes: 0,
        lease: Some(Lease {
            worker: dispatcher.worker.clone(),
            token: 1,
        }),
        endpoint: None,
    })
}

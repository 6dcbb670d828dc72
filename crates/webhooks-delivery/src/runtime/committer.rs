//! Stores events, many senders' in one commit.
//!
//! Promises: a sender is answered once the storage has answered for its events; what is passed to
//! one call of [`store`](Committer::store) is stored in one commit or fails together; what waits is
//! bounded by number and by bytes, and a full queue refuses at once rather than make senders wait.
//!
//! No timer delays a commit. A batch is what has come while the commit before it was on its way, so
//! that an idle system stores each event at once.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use webhooks_core::storage::spi::{Commit, Enqueued, NewDelivery, NewEvent};
use webhooks_core::{Result, WebhookError, WorkerId};

use super::commit_size::{BATCH_BYTES, weight};
use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::rematch::Rematch;
use super::told;
use super::worker::Worker;
use crate::observer::Observer;
use crate::one_or_more::OneOrMore;
use crate::outgoing::Sent;
use crate::schedule::{Place, Stored};

/// Events of one commit at most.
/// More would make all senders of a commit wait for one long call; less would cost more calls.
const BATCH: usize = 256;
/// Events that wait for their commit at most.
/// As many are some seconds' work of a busy system. Who sends more than is stored should hear of it
/// before that.
const QUEUE: usize = 16_384;
/// Bytes of events that wait for their commit at most, with their deliveries.
/// Payloads differ by a factor of a thousand, so that a bound by number alone would bound no
/// memory.
const QUEUE_BYTES: usize = 256 << 20;
/// Bytes of a delivery that waits for its commit, with its place.
/// An event with a small payload for many endpoints takes more memory for these than for itself.
const DELIVERY_BYTES: usize = size_of::<NewDelivery>() + size_of::<(usize, Place)>();

/// An event on its way into the storage.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) event: NewEvent,
    /// For deliveries that are stored leased: which of the event's, and its place. Whoever drops the
    /// event gives them back.
    pub(crate) places: OneOrMore<(usize, Place)>,
    /// The revision up to which endpoints were known when the event was matched with them.
    pub(crate) known: u64,
}

/// Where a sender waits for what became of its events.
type Answer = oneshot::Sender<Result<OneOrMore<Result<Sent>>>>;

/// What one sender wants stored together.
#[derive(Debug)]
struct Queued {
    sendings: OneOrMore<Sending>,
    answer: Answer,
    /// Given back when the sender is answered, so that events of the commit on its way count, too.
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
    driver: Arc<Driver>,
    queue: mpsc::Sender<Queued>,
    /// One permit is one byte.
    bytes: Arc<Semaphore>,
}

impl Committer {
    /// A committer, and its task. `leases_unknown` is told when a commit failed that may have leased
    /// something all the same.
    pub(crate) fn new(
        driver: Arc<Driver>,
        worker: Arc<Worker>,
        endpoints: Arc<EndpointReader>,
        leases_unknown: Arc<Notify>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let committing = Committing {
            driver: driver.clone(),
            worker: worker.clone(),
            leases_unknown,
            rematch: Arc::new(Rematch {
                driver: driver.clone(),
                worker,
                endpoints,
            }),
            rematching: JoinSet::new(),
        };
        let committer = Self {
            driver,
            queue,
            bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
        };
        (committer, committing.run(queued))
    }

    /// Stores events in one commit, with those that others send at the same time.
    pub(crate) async fn store(
        &self,
        sendings: OneOrMore<Sending>,
    ) -> Result<OneOrMore<Result<Sent>>> {
        let (answer, answered) = oneshot::channel();
        // From here on a sender that is dropped loses its answer, and not its events.
        self.put_in_queue(sendings, answer)?;
        // It may have been on its way into the storage.
        answered.await.map_err(|_| ended().perhaps_done())?
    }

    fn put_in_queue(&self, sendings: OneOrMore<Sending>, answer: Answer) -> Result<()> {
        let bytes = match self.hold_all(&sendings) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.refused(&sendings, &error);
                return Err(error);
            }
        };
        let queued = Queued {
            sendings,
            answer,
            bytes,
        };
        // What does not get in must give its places back: they count as leases of this process.
        let (queued, error) = match self.queue.try_send(queued) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(queued)) => (queued, full()),
            Err(mpsc::error::TrySendError::Closed(queued)) => (queued, ended()),
        };
        self.refused(&queued.sendings, &error);
        Err(error)
    }

    /// Takes as many of the bytes that may wait as these events have.
    fn hold_all(&self, sendings: &[Sending]) -> Result<OwnedSemaphorePermit> {
        let events = || sendings.iter().map(|sending| &sending.event);
        let bytes: usize = events().map(|new| new.event.payload.len()).sum();
        if bytes > QUEUE_BYTES {
            let text = format!("the events are {bytes} bytes together, at most {QUEUE_BYTES}");
            return Err(WebhookError::InvalidEvent(text.into()));
        }
        let deliveries: usize = events().map(|new| new.deliveries.len()).sum();
        self.hold(bytes + deliveries * DELIVERY_BYTES)
    }

    /// Gives the places of what does not get in back, and tells of it.
    fn refused(&self, sendings: &[Sending], error: &WebhookError) {
        let observer = self.driver.observer();
        for sending in sendings {
            told::sent(observer, &sending.event, &Err(error.clone()));
        }
        let places = sendings.iter().flat_map(|sending| &sending.places);
        let places = places.map(|(_, place)| *place);
        self.driver
            .tell(|scheduler, now| scheduler.give_up(now, places));
    }

    /// Takes so many of the bytes that may wait.
    pub(crate) fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        // However many endpoints one call is for, it may wait alone.
        let bytes = u32::try_from(bytes.min(QUEUE_BYTES)).map_err(|_| full())?;
        let held = self.bytes.clone().try_acquire_many_owned(bytes);
        held.map_err(|_| full())
    }

    /// Whether no event waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.queued_bytes() == 0
    }

    /// Bytes of events that wait.
    pub(crate) fn queued_bytes(&self) -> usize {
        QUEUE_BYTES - self.bytes.available_permits()
    }
}

fn full() -> WebhookError {
    WebhookError::Overloaded("the queue of events to be stored is full".into())
}

fn ended() -> WebhookError {
    WebhookError::ShutDown("the system has ended".into())
}

/// What stores events.
struct Committing {
    driver: Arc<Driver>,
    worker: Arc<Worker>,
    leases_unknown: Arc<Notify>,
    rematch: Arc<Rematch>,
    /// Batches that are matched again, beside the commits that go on. Their senders wait, and hold the
    /// bytes that bound them.
    rematching: JoinSet<()>,
}

impl Committing {
    async fn run(mut self, mut queued: mpsc::Receiver<Queued>) {
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
            self.commit(batch).await;
            while self.rematching.try_join_next().is_some() {}
        }
    }

    async fn commit(&mut self, batch: Batch) {
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            // Read once for the call and for what follows: the id may change meanwhile, and places
            // that were leased under the one before must not be taken under the new one.
            let worker = self.worker.id();
            match self.worker.enqueue(&worker, &batch.events).await {
                // The scheduler first: a sender that is answered may look at what became of its
                // event.
                Ok(stored) => self.stored(batch, &worker, stored),
                // One sender's event must not fail those of the others. To store twice what a refusal
                // did store after all changes nothing.
                Err(error) if batch.senders.len() > 1 && is_refusal(&error) => {
                    let [first, second] = batch.halves();
                    // The first half comes out first, so that events stay in their order.
                    left.extend([second, first]);
                }
                Err(error) => self.failed(batch, &worker, &error),
            }
        }
    }

    /// Tells the scheduler, and the senders unless their events are to be matched again.
    fn stored(&mut self, batch: Batch, worker: &WorkerId, stored: Commit<Enqueued>) {
        let Commit {
            answers,
            definitions,
        } = stored;
        self.driver.stored(worker, batch.stored().zip(&answers));
        // What is known by now does not help: an event was matched with what was known before.
        if batch.known.is_some_and(|known| definitions > known) {
            let (rematch, driver) = (self.rematch.clone(), self.driver.clone());
            self.rematching.spawn(async move {
                let answered = rematch.answers(&batch.events, answers).await;
                // What was stored before stays stored.
                batch.answer(
                    answered.map_err(WebhookError::perhaps_done),
                    driver.observer(),
                );
            });
            return;
        }
        let sent = batch.events.iter().zip(answers);
        let sent = sent.map(|(event, enqueued)| Sent::new(event, enqueued));
        let sent = sent.collect();
        batch.answer(Ok(sent), self.driver.observer());
    }

    /// Tells the scheduler, which gives back what may be stored and leased, though the answer was
    /// lost, and the senders.
    fn failed(&self, batch: Batch, worker: &WorkerId, error: &WebhookError) {
        self.driver
            .tell(|scheduler, now| scheduler.not_stored(now, worker, batch.stored()));
        let is_leased = batch.places.iter().any(|places| !places.is_empty());
        if is_leased && error.outcome_unknown() {
            // The storage may do it only after that.
            self.leases_unknown.notify_one();
        }
        batch.answer(Err(error.clone()), self.driver.observer());
    }
}

/// Lets the senders that the last commit answered send again first, and share the next one: until
/// no more of them come, or enough are there.
///
/// Ends, since each round needs new senders and the batch is bounded. With none it costs one yield.
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
    /// As many entries as there are events: both are cut at the same places.
    places: Vec<OneOrMore<(usize, Place)>>,
    /// The least of what was known of endpoints when the events were matched.
    known: Option<u64>,
    /// How many of the events are whose, in order.
    senders: Vec<(usize, Answer, OwnedSemaphorePermit)>,
}

impl Batch {
    fn push(&mut self, queued: Queued) {
        let Queued {
            sendings,
            answer,
            bytes,
        } = queued;
        self.senders.push((sendings.len(), answer, bytes));
        for Sending {
            event,
            places,
            known,
        } in sendings
        {
            self.known = Some(self.known.map_or(known, |least| least.min(known)));
            self.events.push(event);
            self.places.push(places);
        }
    }

    fn stored(&self) -> impl Iterator<Item = Stored<'_>> + Clone {
        let events = self.events.iter().zip(&self.places);
        events.map(|(event, places)| Stored { event, places })
    }

    /// Answers the senders, after the observer was told: a sender may look at what is counted.
    fn answer(self, sent: Result<Vec<Result<Sent>>>, observer: &Observer) {
        if observer.is_there() {
            self.tell(&sent, observer);
        }
        let (sent, error) = match sent {
            Ok(sent) => (sent, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut sent = sent.into_iter();
        for (count, answer, _) in self.senders {
            let sent = match &error {
                None => Ok(sent.by_ref().take(count).collect()),
                Some(error) => Err(error.clone()),
            };
            // The sender may have been dropped: its events are sent all the same.
            drop(answer.send(sent));
        }
    }

    fn tell(&self, sent: &Result<Vec<Result<Sent>>>, observer: &Observer) {
        for (n, event) in self.events.iter().enumerate() {
            match sent {
                Ok(sent) => sent
                    .get(n)
                    .into_iter()
                    .for_each(|sent| told::sent(observer, event, sent)),
                Err(error) => told::sent(observer, event, &Err(error.clone())),
            }
        }
    }

    /// The senders in two halves.
    fn halves(mut self) -> [Self; 2] {
        let senders = self.senders.split_off(self.senders.len() / 2);
        let events = self.senders.iter().map(|(count, ..)| count).sum();
        let second = Self {
            events: self.events.split_off(events),
            places: self.places.split_off(events),
            known: self.known,
            senders,
        };
        [self, second]
    }
}

/// Whether the storage refused what was to be stored, so that less of it may fare better.
fn is_refusal(error: &WebhookError) -> bool {
    match error {
        // The storage stores nothing of such a call; a half may still fit under its bound.
        WebhookError::Overloaded(_) => true,
        WebhookError::StorageError(_) => !error.is_transient(),
        _ => false,
    }
}

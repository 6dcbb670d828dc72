//! Turns events that were sent inside transactions into deliveries.
//!
//! Promises: an event leaves the outbox in the commit that stores its deliveries, so that it is
//! neither lost nor sent twice whatever dies in between; and an event that cannot be stored holds
//! up none behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::value::RawValue;
use tokio::sync::Notify;
use webhooks_core::storage::spi::{Enqueued, NewEvent, OutboxEvent, PartPlace};
use webhooks_core::{
    DeliveryId, EventId, Result, WebhookError, WebhookEvent, WorkerId, committed_envelope,
};

use super::commit_size::{BATCH_BYTES, most_deliveries, weight};
use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::fan_out::FanOuts;
use super::parts::{Parts, check_answers};
use super::retrying::Retrying;
use super::told;
use super::worker::Worker;
use crate::outgoing::Sent;
use crate::schedule::{Recipient, Stored};

/// Events of one commit at most.
/// As many as a commit of senders has: the storage does the same work for both.
const BATCH: usize = 256;
/// Bytes of what is read at once, but for an event that has more.
/// Twice a commit, so that the next one is in memory while the first is stored.
const READ_BYTES: usize = 2 * BATCH_BYTES;

/// Turns events of the outbox into deliveries.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoints: Arc<EndpointReader>,
    pub(crate) fan_outs: Arc<FanOuts>,
    /// Retries of deliveries whose event says nothing of them.
    pub(crate) max_retries: u32,
    /// Whether events are kept for which no endpoint is.
    pub(crate) keep_unmatched: bool,
    /// Events that were set aside.
    pub(crate) refused: Arc<AtomicUsize>,
}

impl Outbox {
    /// Empties the outbox whenever it is told that something is in it.
    pub(crate) async fn keep_emptying(self, work: Arc<Notify>) {
        let mut retrying = Retrying::new("empty the outbox");
        loop {
            work.notified().await;
            // Until it is empty: one beat tells of any number of events.
            while !self.driver.is_stopping() {
                match self.empty().await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => retrying.pause(&error).await,
                }
            }
            retrying.succeeded();
        }
    }

    /// Takes up to a batch out of the outbox; how many left it. What another node is at stays.
    async fn empty(&self) -> Result<usize> {
        let events = self.worker.storage.read_outbox(BATCH, READ_BYTES).await?;
        if events.is_empty() {
            return Ok(0);
        }
        // After the events, so that each meets every endpoint that was there when it was committed.
        self.endpoints.refresh().await?;
        // Those that left the outbox, stored or set aside. Zero ends the loop of `keep_emptying`:
        // what is then still there is in another node's hands, or not yet readable.
        let mut left = 0;
        let (mut matched, mut for_many) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            let id = event.id;
            match self.new_event(event) {
                Ok((event, recipients))
                    if recipients.len() > most_deliveries(event.event.payload.len()) =>
                {
                    for_many.push((event, recipients));
                }
                Ok((event, recipients)) => matched.push(Self::with_deliveries(event, &recipients)),
                Err(error) => left += self.set_aside(id, &error).await?,
            }
        }
        // First, so that events for a few do not wait for one that is for thousands.
        left += self.store(&matched).await?;
        // These take longer.
        for (event, recipients) in for_many {
            left += self.fan_out(event, recipients).await?;
        }
        Ok(left)
    }

    /// Takes an event for many endpoints out of the outbox, with the first part of its deliveries, and
    /// stores the others; how many left it.
    async fn fan_out(&self, event: NewEvent, recipients: Vec<Recipient>) -> Result<usize> {
        let id = event.event.id;
        let stored = self
            .fan_outs
            .store(event, recipients, PartPlace::FirstOfOutbox);
        match stored.await {
            Ok(stored) => Ok(stored.into_iter().count()),
            // It stays in the outbox, and comes again with the next read.
            Err(error) if error.is_transient() => Err(error),
            Err(error) => self.set_aside(id, &error).await,
        }
    }

    /// Stores events and takes them out of the outbox; how many left it. An event that the storage
    /// refuses alone is set aside, so that those beside and behind it go on.
    async fn store(&self, events: &[NewEvent]) -> Result<usize> {
        let worker = self.worker.id();
        let weight = |new: &NewEvent| weight(new.event.payload.len(), new.deliveries.len());
        let mut parts = Parts::new(events.iter().map(weight), BATCH, BATCH_BYTES);
        let mut left = 0;
        while let Some(part) = parts.next() {
            let some = events.get(part.clone()).unwrap_or_default();
            let now = self.worker.now();
            let stored = self.worker.storage.enqueue_outbox(some, Some(&worker), now);
            let stored = stored.await;
            match stored.and_then(|commit| check_answers(some.len(), commit.answers)) {
                Ok(answers) => {
                    left += answers.iter().flatten().count();
                    self.tell(&worker, some, &answers);
                }
                // What is stored of the batch has left; the next read brings the rest.
                Err(error) if error.is_transient() => return Err(error),
                Err(error) if !parts.split(&part) => {
                    for event in some {
                        left += self.set_aside(event.event.id, &error).await?;
                    }
                }
                Err(_) => {}
            }
        }
        Ok(left)
    }

    /// Tells the scheduler what was stored of these events.
    fn tell(&self, worker: &WorkerId, events: &[NewEvent], answers: &[Option<Enqueued>]) {
        let observer = self.driver.observer();
        if observer.is_there() {
            for (event, answer) in events.iter().zip(answers) {
                if let Some(answer) = answer {
                    told::sent(observer, event, &Sent::new(event, answer.clone()));
                }
            }
        }
        let stored = events.iter().zip(answers).filter_map(|(event, answer)| {
            let event = Stored { event, places: &[] };
            Some((event, answer.as_ref()?))
        });
        self.driver.stored(worker, stored);
    }

    /// Keeps an event that is refused for good out of the way; how many left the outbox.
    async fn set_aside(&self, id: EventId, error: &WebhookError) -> Result<usize> {
        // Kept with the cause, since the storage's row may be all that an operator finds. Errors
        // hold no payload.
        let source = std::error::Error::source(error);
        let reason =
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        let (storage, now) = (&self.worker.storage, self.worker.now());
        // `false`: another node has stored it or set it aside meanwhile.
        if !storage.set_outbox_aside(id, &reason, now).await? {
            return Ok(0);
        }
        tracing::error!(event_id = %id, reason, "an event of the outbox is refused and set aside");
        self.refused.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    }

    /// The event with a delivery for each of these endpoints.
    fn with_deliveries(event: NewEvent, recipients: &[Recipient]) -> NewEvent {
        let deliver = |recipient: &Recipient| {
            // Of the event's time, as everywhere: storages find deliveries of an event by it.
            let id = DeliveryId::new(event.event.created_at);
            recipient.delivery(&event.event, id, false)
        };
        NewEvent {
            deliveries: recipients.iter().map(deliver).collect(),
            ..event
        }
    }

    /// The event, and who gets it.
    fn new_event(&self, event: OutboxEvent) -> Result<(NewEvent, Vec<Recipient>)> {
        // It is committed, so that no limit applies any more.
        let data: &RawValue = serde_json::from_slice(&event.data)?;
        let payload = committed_envelope(event.id, &event.event_type, event.created_at, data)?;
        let event = NewEvent {
            priority: event.priority,
            due_at: event.due_at,
            max_retries: event.max_retries.unwrap_or(self.max_retries),
            idempotency_key: event.idempotency_key,
            // Its transaction is committed: to refuse it now would only lose it.
            fingerprint: None,
            keep: self.keep_unmatched,
            deliveries: Vec::new(),
            event: Arc::new(WebhookEvent {
                id: event.id,
                event_type: event.event_type,
                tenant: event.tenant,
                payload,
                created_at: event.created_at,
                ordering_key: event.ordering_key,
                trace: event.trace,
            }),
        };
        let recipients = self.fan_outs.recipients(&event);
        Ok((event, recipients))
    }
}

//! Events for more endpoints than one call of the storage is to store: part after part, in the order
//! of the endpoints' ids.
//!
//! With the first part the storage keeps what is needed to go on. So when a sender or its process dies
//! in the middle, another node finishes it: one that nobody has moved for a while. That two nodes are
//! at one does no harm, as the ids of deliveries follow from event and endpoint.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use webhooks_core::storage::spi::{Enqueued, FanOut, FanOutPart, NewEvent, PartPlace};
use webhooks_core::{DeliveryId, Result};

use super::commit_size::most_deliveries;
use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::retrying::{Retrying, error_source};
use super::told;
use super::worker::Worker;
use crate::outgoing::Sent;
use crate::schedule::{Recipient, Stored};

/// How long nobody has moved a fan-out that is left alone, and how much longer at most, so that
/// nodes that see it do not all begin at once.
/// Far longer than one part takes, so that a sender that is alive is seldom helped; short enough
/// that an event whose sender died is whole within seconds.
const IDLE: Duration = Duration::from_secs(5);
const SPREAD: Duration = Duration::from_secs(2);
/// Fan-outs that are read at once, besides those that have just failed: each with its payload.
/// Few, since a payload may be megabytes. The loop reads on until none is left.
const READ: usize = 4;
/// Those that may fail until the next time.
/// What failed is read again each round, as the storage cannot leave it out. The bound keeps that
/// from growing without end.
const MAX_FAILED: usize = 256;

/// Stores events part by part.
#[derive(Debug)]
pub(crate) struct FanOuts {
    driver: Arc<Driver>,
    worker: Arc<Worker>,
    endpoints: Arc<EndpointReader>,
    /// One part at a time, so that those of many senders do not crowd out the rest.
    turn: Semaphore,
}

impl FanOuts {
    pub(crate) fn new(
        driver: Arc<Driver>,
        worker: Arc<Worker>,
        endpoints: Arc<EndpointReader>,
    ) -> Self {
        Self {
            driver,
            worker,
            endpoints,
            turn: Semaphore::new(1),
        }
    }

    /// Goes on with fan-outs that nobody moves, whenever it is told that there may be some.
    pub(crate) async fn keep_finishing(self: Arc<Self>, work: Arc<Notify>) {
        let mut retrying = Retrying::new("go on with events for many endpoints");
        loop {
            work.notified().await;
            match self.finish_all().await {
                Ok(()) => retrying.succeeded(),
                Err(error) => retrying.pause(&error).await,
            }
        }
    }

    /// Finishes what nobody moves. What fails is left for the next time, and holds up nothing beside
    /// it.
    async fn finish_all(&self) -> Result<()> {
        let (mut failed, mut last_error) = (Vec::new(), None);
        while !self.driver.is_stopping() && failed.len() < MAX_FAILED {
            let idle = IDLE + SPREAD.mul_f64(fastrand::f64());
            let since = self.worker.now().before(idle);
            let read = READ + failed.len();
            let mut found = self.worker.storage.fan_outs(since, read).await?;
            found.retain(|found| !failed.contains(&found.event.event.id));
            if found.is_empty() {
                break;
            }
            // After the look: an endpoint that was there when the event was sent must be known, or
            // it would get nothing of it.
            self.endpoints.refresh().await?;
            for FanOut { event, up_to } in found {
                let id = event.event.id;
                let mut recipients = self.recipients(&event);
                // What comes before was stored, or was passed by, by whoever made the earlier
                // parts. An endpoint that was registered since gets the event only if it comes
                // behind.
                recipients.retain(|recipient| recipient.endpoint_id > up_to);
                if let Err(error) = self.store(event, recipients, PartPlace::Later).await {
                    failed.push(id);
                    last_error = Some(error);
                }
            }
        }
        last_error.map_or(Ok(()), Err)
    }

    /// Who takes an event, as endpoints are known now.
    pub(crate) fn recipients(&self, event: &NewEvent) -> Vec<Recipient> {
        let (tenant, event_type) = (event.event.tenant.as_ref(), &event.event.event_type);
        let candidates = self
            .driver
            .look(|scheduler, _| scheduler.candidates(tenant, event_type));
        candidates.that_take(&event.event)
    }

    /// Stores an event for these endpoints. `None` if the storage has it no more.
    ///
    /// What fails after the first part is no error of the sender's: the event is stored, and goes on.
    pub(crate) async fn store(
        &self,
        event: NewEvent,
        mut recipients: Vec<Recipient>,
        place: PartPlace,
    ) -> Result<Option<Sent>> {
        // The order of the parts is that of the ids, since `up_to` is all that a node knows of the
        // parts before.
        recipients.sort_unstable_by(|a, b| a.endpoint_id.cmp(&b.endpoint_id));
        let most = most_deliveries(event.event.payload.len());
        let goes_on = self.worker.storage.keeps_fan_outs();
        let id = |recipient: &Recipient| DeliveryId::of(event.event.id, &recipient.endpoint_id);
        let mut delivery_ids = Vec::with_capacity(recipients.len());
        let mut dead = Vec::new();
        let observer = self.driver.observer();
        let (mut place, mut rest) = (place, recipients.as_slice());
        // Until a part is stored, nothing is.
        let mut has_begun = false;
        loop {
            let (some, others) = rest.split_at(most.min(rest.len()));
            let part = part(&event, some, place, !others.is_empty());
            let stored = self.store_part(&part).await;
            if observer.is_there() && place != PartPlace::Later {
                // Once for all parts: the others follow, here or at another node.
                self.tell_first(&event, place, &stored, recipients.iter().map(id));
            }
            match stored {
                Ok(Some(Enqueued::Stored {
                    missing,
                    dead: some_dead,
                })) => {
                    dead.extend(some_dead);
                    let made = some.iter().map(id).filter(|id| !missing.contains(id));
                    delivery_ids.extend(made);
                }
                Ok(Some(Enqueued::NoEndpoint)) => {}
                Ok(Some(other)) => return Sent::new(&event, other).map(Some),
                Ok(None) if !has_begun => return Ok(None),
                Err(error) if !has_begun => return Err(error),
                // Nobody goes on with it: the sender must know that some deliveries are missing,
                // and that others are stored.
                Err(error) if !goes_on => return Err(error.perhaps_done()),
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
            // A process that stops leaves the rest to other nodes. Its answer names these
            // deliveries as well: their ids are known, and they will be made.
            if rest.is_empty() || goes_on && self.driver.is_stopping() {
                delivery_ids.extend(rest.iter().map(id));
                break;
            }
            // A storage in memory never waits.
            tokio::task::yield_now().await;
        }
        Ok(Some(Sent {
            delivery_ids,
            dead,
            ..Sent::nothing(event.event.id)
        }))
    }

    /// Tells of an event by what became of its first part.
    fn tell_first(
        &self,
        event: &NewEvent,
        place: PartPlace,
        stored: &Result<Option<Enqueued>>,
        ids: impl Iterator<Item = DeliveryId>,
    ) {
        let sent = match stored {
            Ok(Some(Enqueued::Stored { .. } | Enqueued::NoEndpoint)) => Ok(Sent {
                delivery_ids: ids.collect(),
                ..Sent::nothing(event.event.id)
            }),
            Ok(Some(other)) => Sent::new(event, other.clone()),
            // Another node has it.
            Ok(None) => return,
            // It stays in the outbox, and is told of when it leaves that.
            Err(_) if place == PartPlace::FirstOfOutbox => return,
            Err(error) => Err(error.clone()),
        };
        told::sent(self.driver.observer(), event, &sent);
    }

    async fn store_part(&self, part: &FanOutPart) -> Result<Option<Enqueued>> {
        // Held for one part only, so that two senders with many endpoints go on side by side.
        let turn = self.turn.acquire().await;
        let now = self.worker.now();
        let stored = self.worker.storage.fan_out(part, now).await?;
        drop(turn);
        if let Some(enqueued) = &stored {
            let event = Stored {
                event: &part.event,
                // None is leased: what is for many endpoints comes by claims, in their turns.
                places: &[],
            };
            let worker = self.worker.id();
            self.driver.stored(&worker, [(event, enqueued)]);
        }
        Ok(stored)
    }
}

fn part(event: &NewEvent, some: &[Recipient], place: PartPlace, has_more: bool) -> FanOutPart {
    let delivery = |recipient: &Recipient| {
        // Not random: a part that is made twice, here or by two nodes, is the same deliveries
        // again.
        let id = DeliveryId::of(event.event.id, &recipient.endpoint_id);
        recipient.delivery(&event.event, id, false)
    };
    let last = some.last().filter(|_| has_more);
    FanOutPart {
        event: NewEvent {
            event: event.event.clone(),
            idempotency_key: event.idempotency_key.clone(),
            deliveries: some.iter().map(delivery).collect(),
            ..*event
        },
        place,
        up_to: last.map(|recipient| recipient.endpoint_id.clone()),
    }
}

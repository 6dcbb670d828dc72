//! Events that were matched before their process knew of an endpoint that was there.
//!
//! Promise: an endpoint that was registered, by whatever process, before an event is sent gets the
//! event. A process reads changes of endpoints about once a second and matches events with what it
//! has read. So a commit tells the newest change that the storage has; only where that is one the
//! process has not read are the events matched again, before their senders are answered.

use std::sync::Arc;

use webhooks_core::storage::spi::{Commit, Enqueued, NewDelivery, NewEvent};
use webhooks_core::{DeliveryId, Result};

use super::commit_size::most_deliveries;
use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::worker::Worker;
use crate::outgoing::Sent;
use crate::schedule::{Recipient, Stored};

/// Matches stored events again with the endpoints that have changed.
#[derive(Debug)]
pub(crate) struct Rematch {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoints: Arc<EndpointReader>,
}

impl Rematch {
    /// Reads the endpoints that have changed and stores what events have missed for them, under the
    /// same events. What becomes of each event then.
    pub(crate) async fn answers(
        &self,
        events: &[NewEvent],
        answers: Vec<Enqueued>,
    ) -> Result<Vec<Result<Sent>>> {
        self.endpoints.refresh().await?;
        let mut sent = Vec::with_capacity(events.len());
        for (event, answer) in events.iter().zip(answers) {
            let mut one = Sent::new(event, answer);
            if let Ok(one) = &mut one
                && !one.duplicate
            {
                self.add_missed(event, one).await?;
            }
            sent.push(one);
        }
        Ok(sent)
    }

    /// Stores the deliveries that an event has missed, and adds them to what was sent of it.
    async fn add_missed(&self, event: &NewEvent, sent: &mut Sent) -> Result<()> {
        let missed = self.missed(event);
        for some in missed.chunks(most_deliveries(event.event.payload.len())) {
            let event = NewEvent {
                event: event.event.clone(),
                // It was looked at with the first deliveries.
                idempotency_key: None,
                fingerprint: None,
                deliveries: some.to_vec(),
                ..*event
            };
            let events = [event];
            let worker = self.worker.id();
            // Once more after a lost answer: the ids are the same, so that nothing is stored twice.
            let Commit { mut answers, .. } = match self.worker.enqueue(&worker, &events).await {
                Err(error) if error.is_transient() => self.worker.enqueue(&worker, &events).await?,
                stored => stored?,
            };
            let [event] = &events;
            let (Some(answer), stored) = (answers.pop(), Stored { event, places: &[] }) else {
                continue;
            };
            self.driver.stored(&worker, [(stored, &answer)]);
            let further = Sent::new(event, answer)?;
            sent.delivery_ids.extend(further.delivery_ids);
            sent.dead.extend(further.dead);
        }
        Ok(())
    }

    /// The deliveries to endpoints that take an event and that it has none to.
    fn missed(&self, event: &NewEvent) -> Vec<NewDelivery> {
        let (of, made) = (&event.event, &event.deliveries);
        if made.iter().any(|delivery| delivery.by_name) {
            return Vec::new();
        }
        let candidates = self
            .driver
            .look(|scheduler, _| scheduler.candidates(of.tenant.as_ref(), &of.event_type));
        let has_one = |recipient: &Recipient| {
            made.iter().any(|delivery| {
                delivery.endpoint_id == recipient.endpoint_id
                    && delivery.incarnation == Some(recipient.incarnation)
            })
        };
        let recipients = candidates.that_take(of);
        recipients
            .iter()
            .filter(|recipient| !has_one(recipient))
            .map(|recipient| recipient.delivery(of, DeliveryId::new(of.created_at), false))
            .collect()
    }
}

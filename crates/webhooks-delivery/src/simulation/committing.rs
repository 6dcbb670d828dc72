//! Events are sent and stored, as `runtime/sender.rs` and `runtime/committer.rs` do.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::spi::{Enqueued, NewDelivery, NewEvent};
use webhooks_core::{DeliveryId, EventId, EventType, Result, WebhookError, WebhookEvent};

use super::event::{Answer, Call, NodeEvent, To};
use super::happening::Send;
use super::node::{Input, Queue};
use super::receiver::TYPES;
use super::trace::fail;
use super::world::World;
use crate::schedule::{Place, Recipient, Stored};

/// Events of one commit at most.
const BATCH: usize = 256;

/// What one sender wants stored.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) event: NewEvent,
    pub(super) places: Vec<(usize, Place)>,
}

#[derive(Debug, Default)]
pub(super) struct Committer {
    queue: Queue<Sending>,
    /// Batches to be stored next, the last first.
    left: Vec<Vec<Sending>>,
    storing: Option<Vec<Sending>>,
    is_awake: bool,
}

impl Committer {
    pub(super) fn is_idle(&self) -> bool {
        !self.is_awake && self.queue.is_empty()
    }
}

impl World<'_> {
    /// Events are sent.
    pub(super) fn send(&mut self, send: &Send) {
        let n = send.node;
        let node = &self.nodes[n];
        if !node.is_up || node.paused_until > self.us || !node.beats.is_ready {
            return;
        }
        for _ in 0..send.count {
            self.send_one(n, send);
        }
    }

    fn send_one(&mut self, n: usize, send: &Send) {
        if self.scheduler(n).is_stopping() {
            return;
        }
        let event = self.event(n, send);
        let by_name = send
            .by_name
            .map(|e| self.plan.endpoints[e].endpoint.id.clone());
        let delay = Duration::from_millis(send.delay_ms);
        let recipients = match &by_name {
            Some(id) => self.scheduler(n).recipient(id).into_iter().collect(),
            None => self
                .scheduler(n)
                .candidates(event.tenant.as_ref(), &event.event_type)
                .that_take(&event),
        };
        self.check_recipients(n, by_name.as_deref(), &event, &recipients);
        if recipients.is_empty() {
            return;
        }
        let places = match delay.is_zero() {
            true => self.reserve(n, &event, &recipients),
            false => Vec::new(),
        };
        if send.is_dropped {
            let places = places.iter().map(|(_, place)| *place).collect::<Vec<_>>();
            return self.tell(n, Input::Other, |s, now| s.give_up(now, places));
        }
        let new = |(i, recipient): (usize, Recipient)| {
            let id = DeliveryId::of(event.id, &recipient.endpoint_id);
            NewDelivery {
                lease: places.iter().any(|(n, _)| *n == i),
                ..recipient.delivery(&event, id, by_name.is_some())
            }
        };
        let event = NewEvent {
            priority: send.priority,
            due_at: event.created_at.after(delay),
            max_retries: self.plan.settings.retry_strategy.max_retries,
            idempotency_key: None,
            fingerprint: None,
            keep: true,
            deliveries: recipients.into_iter().enumerate().map(new).collect(),
            event: Arc::new(event),
        };
        self.note(|| {
            format!(
                "n{n} sends {}: {} of {}",
                event.event.id,
                places.len(),
                event.deliveries.len()
            )
        });
        self.nodes[n]
            .committer
            .queue
            .push_back(Sending { event, places });
        self.wake_committer(n);
    }

    fn event(&mut self, n: usize, send: &Send) -> WebhookEvent {
        let now = self.node_time(n);
        self.sent += 1;
        let id = uuid(now.as_millis(), self.sent);
        let mark = if send.is_poison { "poison" } else { "" };
        WebhookEvent {
            id,
            event_type: EventType::new(TYPES[send.event_type]).unwrap(),
            tenant: send.tenant.map(|tenant| format!("t{tenant}").into()),
            payload: format!("{mark}{}", "x".repeat(send.bytes)).into(),
            created_at: now,
            ordering_key: (self.plan.has_orders).then(|| format!("k{}", self.sent % 3).into()),
            trace: None,
        }
    }

    fn reserve(
        &mut self,
        n: usize,
        event: &WebhookEvent,
        recipients: &[Recipient],
    ) -> Vec<(usize, Place)> {
        let mut places = Vec::new();
        for (i, recipient) in recipients.iter().enumerate() {
            let order = recipient
                .delivery(event, DeliveryId::of(event.id, ""), false)
                .order;
            let is_fit = order.is_none() && self.is_fit_for_place(n, recipient);
            let place = self.tell(n, Input::Reserve, |s, now| s.reserve(now, event, recipient));
            match place {
                Some(place) => {
                    self.check_place(n, recipient);
                    places.push((i, place));
                }
                None if is_fit => fail("what can go goes straight through", &recipient.endpoint_id),
                None => {}
            }
        }
        places
    }

    fn wake_committer(&mut self, n: usize) {
        if !std::mem::replace(&mut self.nodes[n].committer.is_awake, true) {
            self.later(n, 0, NodeEvent::Commit);
        }
    }

    /// Stores the next batch.
    pub(super) fn commit(&mut self, n: usize) {
        let committer = &mut self.nodes[n].committer;
        let next = committer.left.pop().unwrap_or_else(|| {
            let count = committer.queue.len().min(BATCH);
            committer.queue.drain(..count).collect()
        });
        if next.is_empty() {
            committer.is_awake = false;
            return;
        }
        let events = next.iter().map(|sending| sending.event.clone()).collect();
        committer.storing = Some(next);
        let worker = self.nodes[n].worker.clone();
        let now = self.node_time(n);
        self.ask(
            n,
            To::Committer,
            Call::Enqueue {
                worker,
                events,
                now,
            },
        );
    }

    pub(super) fn committed(&mut self, n: usize, answer: Result<Answer>) {
        let mut batch = self.nodes[n].committer.storing.take().unwrap();
        let worker = self.nodes[n].worker.clone();
        match answer {
            Ok(Answer::Enqueued(answers)) => self.stored(n, &batch, &answers),
            Err(error) if batch.len() > 1 && !error.is_transient() => {
                let second = batch.split_off(batch.len() / 2);
                self.nodes[n].committer.left.extend([second, batch]);
            }
            Err(error) => {
                let places = batch.iter().map(|sending| sending.places.len()).sum();
                self.tell(n, Input::NotStored(places), |s, now| {
                    s.not_stored(now, &worker, batch.iter().map(stored));
                });
                let is_leased = batch.iter().any(|sending| !sending.places.is_empty());
                if is_leased && error.outcome_unknown() {
                    self.leases_unknown(n);
                }
            }
            Ok(other) => unreachable!("{other:?}"),
        }
        self.later(n, 0, NodeEvent::Commit);
    }

    fn stored(&mut self, n: usize, batch: &[Sending], answers: &[Enqueued]) {
        let worker = self.nodes[n].worker.clone();
        self.tell(n, Input::Stored(batch, answers), |s, now| {
            s.stored(now, &worker, batch.iter().map(stored).zip(answers));
        });
    }
}

fn stored(sending: &Sending) -> Stored<'_> {
    Stored {
        event: &sending.event,
        places: &sending.places,
    }
}

/// An id of this time that no other event of the run has.
fn uuid(ms: i64, number: u64) -> EventId {
    let (high, low) = (ms >> 16, ms & 0xffff);
    let id = format!("webhook_{high:08x}-{low:04x}-7000-8000-{number:012x}");
    id.parse().map_err(|e: WebhookError| e.to_string()).unwrap()
}

//! From what a caller sends to the storage.

use std::sync::Arc;

use serde::Serialize;
use smallvec::{SmallVec, smallvec};
use webhooks_core::storage::spi::{Enqueued, NewDelivery, NewEvent, PartPlace};
use webhooks_core::{
    Clock, DeliveryId, EventType, Result, WebhookError, WebhookEvent, check_endpoint_id,
};

use crate::committer::{BATCH_BYTES, Committer, Sending, most_deliveries, weight};
use crate::dispatcher::Dispatcher;
use crate::fan_out::fan_out;
use crate::lane::LaneRef;
use crate::one_or_more::OneOrMore;
use crate::outgoing::{Outgoing, Sent};
use crate::reservation::Reservation;

/// Events of one call at most.
const MAX_BATCH: usize = 1_000;
/// Deliveries of one call of several events at most: the answer names each.
const MAX_DELIVERIES: usize = 1_000_000;

/// Stores what callers send: events for few endpoints in commits that they share, others part by
/// part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) dispatcher: &'a Arc<Dispatcher>,
    pub(crate) committer: &'a Committer,
}

/// An event and who gets it.
struct Matched {
    event: NewEvent,
    lanes: Vec<LaneRef>,
}

/// Events of one call that go into one commit, each with its place in the call.
#[derive(Default)]
struct Group {
    sendings: OneOrMore<Sending>,
    places: Vec<usize>,
    weight: usize,
}

impl Sender<'_> {
    pub(crate) async fn send(
        &self,
        send: &Outgoing<'_>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Sent> {
        let matched = self.match_event(send, data)?;
        if matched.is_for_many() {
            return self.fan_out(matched).await;
        }
        let sending = self.sending(send, matched);
        let sent = self.store(smallvec![sending]).await?.pop();
        sent.ok_or_else(|| WebhookError::StorageError("the storage gave no answer".into()))
    }

    /// One answer for each event, in order. Only so much of them is in memory at a time as goes
    /// into one commit.
    pub(crate) async fn send_all(
        &self,
        events: &[(Outgoing<'_>, &(impl Serialize + ?Sized))],
    ) -> Result<Vec<Result<Sent>>> {
        if events.len() > MAX_BATCH {
            let text = format!("a batch holds {} events, at most {MAX_BATCH}", events.len());
            return Err(WebhookError::InvalidEvent(text.into()));
        }
        self.check_deliveries(events)?;
        let mut answers: Vec<_> = events.iter().map(|_| None).collect();
        let stored = self.store_in_order(events, &mut answers).await;
        let failed = match stored {
            Ok(()) => WebhookError::StorageError("the storage gave too few answers".into()),
            Err(error) if !answers.iter().flatten().any(Result::is_ok) => return Err(error),
            // What is stored is stored.
            Err(error) => error,
        };
        let answers = answers.into_iter();
        Ok(answers
            .map(|answer| answer.unwrap_or_else(|| Err(failed.clone())))
            .collect())
    }

    /// Refuses events that make more deliveries than one answer can name, before anything of them is
    /// in memory.
    fn check_deliveries<T: ?Sized>(&self, events: &[(Outgoing<'_>, &T)]) -> Result<()> {
        let directory = &self.dispatcher.directory;
        if events.len() < 2 || events.len() * directory.len() <= MAX_DELIVERIES {
            return Ok(());
        }
        let deliveries = |(send, _): &(Outgoing<'_>, &T)| match send.endpoint_id {
            Some(_) => 1,
            None => directory
                .matches(send.tenant.map(Into::into).as_ref(), send.event_type)
                .len(),
        };
        let made: usize = events.iter().map(deliveries).sum();
        if made <= MAX_DELIVERIES {
            return Ok(());
        }
        let text = format!("a batch makes {made} deliveries, at most {MAX_DELIVERIES}");
        Err(WebhookError::InvalidEvent(text.into()))
    }

    async fn store_in_order(
        &self,
        events: &[(Outgoing<'_>, &(impl Serialize + ?Sized))],
        answers: &mut [Option<Result<Sent>>],
    ) -> Result<()> {
        let mut group = Group::default();
        for (place, (send, data)) in events.iter().enumerate() {
            let matched = match self.match_event(send, *data) {
                Ok(matched) => matched,
                Err(error) => {
                    answer(answers, place, Err(error));
                    continue;
                }
            };
            if matched.is_for_many() || group.weight + matched.weight() > BATCH_BYTES {
                self.store_group(std::mem::take(&mut group), answers)
                    .await?;
            }
            if matched.is_for_many() {
                answer(answers, place, Ok(self.fan_out(matched).await?));
                continue;
            }
            group.weight += matched.weight();
            group.places.push(place);
            group.sendings.push(self.sending(send, matched));
        }
        self.store_group(group, answers).await
    }

    async fn store_group(&self, group: Group, answers: &mut [Option<Result<Sent>>]) -> Result<()> {
        let sent = self.store(group.sendings).await?;
        for (place, sent) in group.places.into_iter().zip(sent) {
            answer(answers, place, Ok(sent));
        }
        Ok(())
    }

    async fn store(&self, sendings: OneOrMore<Sending>) -> Result<OneOrMore<Sent>> {
        let to_store =
            |s: &Sending| !s.event.deliveries.is_empty() || s.event.idempotency_key.is_some();
        if !sendings.iter().any(to_store) {
            let nowhere = |s: &Sending| Sent::new(&s.event, Enqueued::NoEndpoint);
            return Ok(sendings.iter().map(nowhere).collect());
        }
        self.committer.store(sendings).await
    }

    async fn fan_out(&self, Matched { event, lanes }: Matched) -> Result<Sent> {
        let ids = lanes.len() * (size_of::<LaneRef>() + size_of::<DeliveryId>());
        let _held = self.committer.hold(event.event.payload.len() + ids)?;
        let sent = fan_out(self.dispatcher, event, lanes, PartPlace::First).await?;
        sent.ok_or_else(|| WebhookError::StorageError("the storage has no first part".into()))
    }

    /// Checks everything, writes the envelope and finds the endpoints.
    fn match_event(
        &self,
        send: &Outgoing<'_>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Matched> {
        let dispatcher = self.dispatcher;
        if dispatcher.is_stopping() {
            return Err(WebhookError::ShutDown("no event is taken any more".into()));
        }
        send.check()?;
        let now = dispatcher.clock.now();
        let tenant: Option<Arc<str>> = send.tenant.map(Into::into);
        let event_type = EventType::sent(send.event_type)?;
        let limit = dispatcher.settings.max_body_bytes;
        let event = WebhookEvent::new(event_type, tenant, data, limit, now)?;
        let lanes = self.recipients(send.endpoint_id, &event)?;
        let event = NewEvent {
            event: Arc::new(event),
            priority: send.priority,
            due_at: now.after(send.delay),
            max_retries: dispatcher.settings.retry_strategy.max_retries,
            idempotency_key: send.idempotency_key.map(Into::into),
            deliveries: Vec::new(),
        };
        Ok(Matched { event, lanes })
    }

    fn recipients(&self, endpoint_id: Option<&str>, event: &WebhookEvent) -> Result<Vec<LaneRef>> {
        let directory = &self.dispatcher.directory;
        let Some(id) = endpoint_id else {
            return Ok(directory.matches(event.tenant.as_ref(), &event.event_type));
        };
        check_endpoint_id(id)?;
        let lane = directory
            .get(id)
            .filter(|lane| lane.record().takes_events());
        let lane = lane.ok_or_else(|| {
            WebhookError::EndpointNotFound(format!("{id:?}, or it is disabled").into())
        })?;
        Ok(vec![LaneRef(lane)])
    }

    /// Makes the deliveries, and reserves the requests that can start at once.
    fn sending(&self, send: &Outgoing<'_>, matched: Matched) -> Sending {
        let Matched { mut event, lanes } = matched;
        let now = event.event.created_at;
        let mut reservations = SmallVec::new();
        event.deliveries.reserve_exact(lanes.len());
        for (n, LaneRef(lane)) in lanes.into_iter().enumerate() {
            let (endpoint_id, incarnation) = (lane.endpoint_id.clone(), lane.incarnation);
            let reservation = if send.delay.is_zero() {
                Reservation::new(self.dispatcher, lane)
            } else {
                None
            };
            event.deliveries.push(NewDelivery {
                id: DeliveryId::new(now),
                endpoint_id,
                incarnation: Some(incarnation),
                by_name: send.endpoint_id.is_some(),
                lease: reservation.is_some(),
            });
            reservations.extend(reservation.map(|reservation| (n, reservation)));
        }
        Sending {
            event,
            reservations,
        }
    }
}

impl Matched {
    /// Whether they are more than one call of the storage is to store.
    fn is_for_many(&self) -> bool {
        self.lanes.len() > most_deliveries(self.event.event.payload.len())
    }

    fn weight(&self) -> usize {
        weight(self.event.event.payload.len(), self.lanes.len())
    }
}

fn answer(answers: &mut [Option<Result<Sent>>], place: usize, answer: Result<Sent>) {
    if let Some(slot) = answers.get_mut(place) {
        *slot = Some(answer);
    }
}

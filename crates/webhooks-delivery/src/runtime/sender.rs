//! From what a caller sends to the storage.
//!
//! Promises: everything that can be wrong with an event is found before anything of it is stored or
//! reserved; an event goes to every endpoint that was registered before it was sent, by whatever
//! process ([`Rematch`](super::rematch::Rematch)); and however many endpoints and events a call is
//! for, only about one commit of them is in memory.

use std::sync::Arc;

use serde::Serialize;
use smallvec::smallvec;
use webhooks_core::storage::spi::{Fingerprint, NewEvent, PartPlace};
use webhooks_core::{
    DeliveryId, Result, SendOptions, WebhookError, WebhookEvent, check_endpoint_id, envelope_data,
};

use super::commit_size::{BATCH_BYTES, most_deliveries, weight};
use super::committer::{Committer, Sending};
use super::driver::Driver;
use super::endpoint_reader::EndpointReader;
use super::fan_out::FanOuts;
use super::told;
use super::worker::Worker;
use crate::one_or_more::OneOrMore;
use crate::outgoing::Sent;
use crate::schedule::{Candidates, Now, Place, Recipient, Scheduler};
use crate::settings::Settings;

/// Events of one call at most.
/// Each event has an answer, and senders that have more can call again.
const MAX_BATCH: usize = 1_000;
/// Deliveries of one call of several events at most: the answer names each.
/// 16 bytes for each id: the answer is 16 MB at most.
const MAX_DELIVERIES: usize = 1_000_000;

/// Stores what callers send: events for few endpoints in commits that they share, others part by
/// part.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) driver: Arc<Driver>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) committer: Committer,
    pub(crate) endpoints: Arc<EndpointReader>,
    pub(crate) fan_outs: Arc<FanOuts>,
    pub(crate) settings: Settings,
}

/// An event and who gets it.
struct Matched {
    /// Without deliveries yet: they are made from `recipients` when it is stored.
    event: NewEvent,
    recipients: Vec<Recipient>,
    /// Of those that can start at once, if they were asked for.
    places: Places,
    /// The revision up to which endpoints were known then.
    known: u64,
}

/// Which deliveries of an event have a place, and which.
type Places = OneOrMore<(usize, Place)>;

/// When places are reserved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reserve {
    /// With the look for recipients: the event is stored next.
    Now,
    /// Not before all that comes before the event is stored.
    Later,
}

/// Events of one call that go into one commit, each with its place in the call.
#[derive(Default)]
struct Group {
    sendings: OneOrMore<Sending>,
    places: Vec<usize>,
    weight: usize,
}

impl Sender {
    /// Whether no event waits for its commit.
    pub(crate) fn is_idle(&self) -> bool {
        self.committer.is_idle()
    }

    /// Bytes of events that wait for their commit.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.committer.queued_bytes()
    }

    pub(crate) async fn send(
        &self,
        send: &SendOptions<'_>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Sent> {
        // No await lies between here and the committer's queue, so that a sender that is dropped
        // leaks no place.
        let matched = self.match_event(send, data, Reserve::Now);
        let matched = match matched {
            Err(error) if is_unknown(&error) => match self.endpoints.refresh().await {
                Ok(()) => self.match_event(send, data, Reserve::Now),
                Err(error) => Err(error),
            },
            matched => matched,
        };
        let matched = matched.inspect_err(|error| self.not_sent(send, error))?;
        if matched.is_for_many() {
            return self.fan_out(matched).await;
        }
        let sendings = smallvec![sending(send, matched)];
        let sent = self.committer.store(sendings).await?.pop();
        sent.unwrap_or_else(|| {
            Err(WebhookError::StorageError(
                "the storage gave no answer".into(),
            ))
        })
    }

    /// Tells of an event that has not come to be stored. Those that have are told of by who stores them,
    /// as their senders may not wait for it.
    pub(crate) fn not_sent(&self, send: &SendOptions<'_>, error: &WebhookError) {
        told::not_sent(self.driver.observer(), send, error);
    }

    /// One answer for each event, in order. Only so much of them is in memory at a time as goes
    /// into one commit.
    pub(crate) async fn send_all(
        &self,
        events: &[(SendOptions<'_>, &(impl Serialize + ?Sized))],
    ) -> Result<Vec<Result<Sent>>> {
        let refused = |error: &WebhookError| {
            events
                .iter()
                .for_each(|(send, _)| self.not_sent(send, error));
        };
        self.check_size(events).inspect_err(refused)?;
        let mut answers: Vec<_> = events.iter().map(|_| None).collect();
        let stored = self.store_in_order(events, &mut answers).await;
        if let Err(error) = &stored {
            let not_reached = events
                .iter()
                .zip(&answers)
                .filter(|(_, answer)| answer.is_none());
            not_reached.for_each(|((send, _), _)| self.not_sent(send, error));
        }
        let failed = match stored {
            Ok(()) => WebhookError::StorageError("the storage gave too few answers".into()),
            // Nothing is stored, so that the call as a whole has failed and can be made again.
            Err(error) if !answers.iter().flatten().any(Result::is_ok) => return Err(error),
            // What is stored is stored.
            Err(error) => error,
        };
        let answers = answers.into_iter();
        Ok(answers
            .map(|answer| answer.unwrap_or_else(|| Err(failed.clone())))
            .collect())
    }

    fn check_size<T: ?Sized>(&self, events: &[(SendOptions<'_>, &T)]) -> Result<()> {
        if events.len() > MAX_BATCH {
            let text = format!("a batch holds {} events, at most {MAX_BATCH}", events.len());
            return Err(WebhookError::InvalidEvent(text.into()));
        }
        self.check_deliveries(events)
    }

    /// Refuses events that may make more deliveries than one answer can name, before anything of them
    /// is in memory. What is in the events is not known yet: all whose types match count.
    fn check_deliveries<T: ?Sized>(&self, events: &[(SendOptions<'_>, &T)]) -> Result<()> {
        let endpoints = self.driver.look(|scheduler, _| scheduler.endpoints());
        // The cheap bound first: nearly every call is under it, and none of its events is matched
        // twice.
        if events.len() < 2 || events.len() * endpoints <= MAX_DELIVERIES {
            return Ok(());
        }
        let deliveries = |(send, _): &(SendOptions<'_>, &T)| match send.endpoint_id {
            Some(_) => 1,
            None => {
                let tenant = send.tenant.map(Into::into);
                let candidates = |scheduler: &Scheduler, _| {
                    scheduler.candidates(tenant.as_ref(), send.event_type)
                };
                self.driver.look(candidates).len()
            }
        };
        let made: usize = events.iter().map(deliveries).sum();
        if made <= MAX_DELIVERIES {
            return Ok(());
        }
        let text = format!("a batch makes {made} deliveries, at most {MAX_DELIVERIES}");
        Err(WebhookError::InvalidEvent(text.into()))
    }

    /// Whether some are for endpoints that take no events, as far as this process knows.
    fn has_unknown<T: ?Sized>(&self, events: &[(SendOptions<'_>, &T)]) -> bool {
        let mut named = events.iter().filter_map(|(send, _)| send.endpoint_id);
        self.driver
            .look(|scheduler, _| named.any(|id| scheduler.recipient(id).is_none()))
    }

    /// Stores events in the order of the call, and answers each.
    async fn store_in_order(
        &self,
        events: &[(SendOptions<'_>, &(impl Serialize + ?Sized))],
        answers: &mut [Option<Result<Sent>>],
    ) -> Result<()> {
        // Before any event has places: those of a group would be leaked if this failed, or if the sender
        // was dropped while it waits.
        if self.has_unknown(events) {
            self.endpoints.refresh().await?;
        }
        let mut group = Group::default();
        for (place, (send, data)) in events.iter().enumerate() {
            let matched = self.match_event(send, *data, Reserve::Later);
            let mut matched = match matched.inspect_err(|error| self.not_sent(send, error)) {
                Ok(matched) => matched,
                Err(error) => {
                    answer(answers, place, Err(error));
                    continue;
                }
            };
            // What came before is stored first, so that events are stored in the order of the call.
            if matched.is_for_many() || group.weight + matched.weight() > BATCH_BYTES {
                self.store_group(std::mem::take(&mut group), answers)
                    .await?;
            }
            if matched.is_for_many() {
                let sent = self.fan_out(matched).await;
                let error = sent.as_ref().err().cloned();
                // Also of one that failed: it was told of, and is none that was not reached.
                answer(answers, place, sent);
                // What its key says against it is its own answer, as with events for few.
                match error {
                    None | Some(WebhookError::IdempotencyKeyReused(_)) => continue,
                    Some(error) => return Err(error),
                }
            }
            group.weight += matched.weight();
            group.places.push(place);
            // After the group before is stored. A place that waits for an await could be leaked by
            // a sender that is dropped, and would count as leased meanwhile.
            if send.delay.is_zero() {
                let event = &matched.event.event;
                let reserve = |scheduler: &mut Scheduler, now| {
                    places(scheduler, now, event, &matched.recipients)
                };
                matched.places = self.driver.tell(reserve);
            }
            group.sendings.push(sending(send, matched));
        }
        self.store_group(group, answers).await
    }

    async fn store_group(&self, group: Group, answers: &mut [Option<Result<Sent>>]) -> Result<()> {
        if group.sendings.is_empty() {
            return Ok(());
        }
        match self.committer.store(group.sendings).await {
            Ok(sent) => {
                for (place, sent) in group.places.into_iter().zip(sent) {
                    answer(answers, place, sent);
                }
                Ok(())
            }
            Err(error) => {
                // These were told of, others after them were not.
                for place in group.places {
                    answer(answers, place, Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    async fn fan_out(&self, matched: Matched) -> Result<Sent> {
        let event = matched.event;
        let observer = self.driver.observer();
        let told = |error: &WebhookError| told::sent(observer, &event, &Err(error.clone()));
        // Parts of an event are not matched again: it begins with what is known now.
        self.endpoints.refresh().await.inspect_err(told)?;
        let recipients = self.fan_outs.recipients(&event);
        let ids = recipients.len() * (size_of::<Recipient>() + size_of::<DeliveryId>());
        // Counted with what waits for commits, for as long as it is in memory.
        let bytes = event.event.payload.len() + ids;
        let _held = self.committer.hold(bytes).inspect_err(told)?;
        let sent = self.fan_outs.store(event, recipients, PartPlace::First);
        let sent = sent.await?;
        sent.ok_or_else(|| WebhookError::StorageError("the storage has no first part".into()))
    }

    /// Checks everything, writes the envelope and finds the endpoints.
    fn match_event(
        &self,
        send: &SendOptions<'_>,
        data: &(impl Serialize + ?Sized),
        reserve: Reserve,
    ) -> Result<Matched> {
        // All checks come before the scheduler is told of anything.
        let event_type = send.validate()?;
        if let Some(id) = send.endpoint_id {
            check_endpoint_id(id)?;
        }
        let now = self.worker.now();
        let tenant: Option<Arc<str>> = send.tenant.map(Into::into);
        let limit = self.settings.max_body_bytes;
        let retries = self.settings.retry_strategy.max_retries;
        let mut event = WebhookEvent::new(event_type, tenant, data, limit, now)?;
        event.ordering_key = send.ordering_key.map(Into::into);
        event.trace = send.trace.cloned();
        let fingerprint = send.idempotency_key.map(|_| {
            let data = envelope_data(&event.payload).unwrap_or_default();
            Fingerprint::of(send.event_type, send.endpoint_id, data)
        });
        let reserves = reserve == Reserve::Now && send.delay.is_zero();
        let places = |scheduler: &mut Scheduler, now, recipients: &[Recipient]| {
            let is_for_many = recipients.len() > most_deliveries(event.payload.len());
            match reserves && !is_for_many {
                true => places(scheduler, now, &event, recipients),
                false => Places::new(),
            }
        };
        // One input for both: a send locks the scheduler once before its event is stored.
        let (candidates, reserved, known) =
            self.driver.tell(|scheduler: &mut Scheduler, now| {
                let candidates = candidates(scheduler, send.endpoint_id, &event)?;
                let any = candidates.of_any_content();
                let reserved = any.map(|recipients| places(scheduler, now, recipients));
                Ok::<_, WebhookError>((candidates, reserved, scheduler.revision()))
            })?;
        let recipients = candidates.that_take(&event);
        // Twice only where some ask for what is in the event, which is looked at in between, without
        // the lock.
        let places =
            reserved.unwrap_or_else(|| self.driver.tell(|s, now| places(s, now, &recipients)));
        let event = NewEvent {
            event: Arc::new(event),
            priority: send.priority,
            due_at: now.after(send.delay),
            max_retries: send.max_retries.unwrap_or(retries),
            idempotency_key: send.idempotency_key.map(Into::into),
            fingerprint,
            keep: self.settings.keep_unmatched,
            deliveries: Vec::new(),
        };
        Ok(Matched {
            event,
            recipients,
            places,
            known,
        })
    }
}

/// The endpoints that an event may be for, or the one that was named.
fn candidates(scheduler: &Scheduler, id: Option<&str>, event: &WebhookEvent) -> Result<Candidates> {
    // Under the lock under which places are reserved: a shut-down that has begun finds no new one.
    if scheduler.is_stopping() {
        return Err(WebhookError::ShutDown("no event is taken any more".into()));
    }
    let Some(id) = id else {
        return Ok(scheduler.candidates(event.tenant.as_ref(), &event.event_type));
    };
    let recipient = scheduler.recipient(id).ok_or_else(|| {
        WebhookError::EndpointNotFound(format!("{id:?}, or it is disabled").into())
    })?;
    Ok(Candidates::by_name(recipient))
}

/// Reserves places for those deliveries that can start at once.
fn places(
    scheduler: &mut Scheduler,
    now: Now,
    event: &WebhookEvent,
    recipients: &[Recipient],
) -> Places {
    let recipients = recipients.iter().enumerate();
    let place = |(n, recipient)| Some((n, scheduler.reserve(now, event, recipient)?));
    recipients.filter_map(place).collect()
}

/// Makes the deliveries.
fn sending(send: &SendOptions<'_>, matched: Matched) -> Sending {
    let Matched {
        mut event,
        recipients,
        places,
        known,
    } = matched;
    let new = |recipient: &Recipient| {
        let id = DeliveryId::new(event.event.created_at);
        recipient.delivery(&event.event, id, send.endpoint_id.is_some())
    };
    event.deliveries = recipients.iter().map(new).collect();
    for (n, _) in &places {
        if let Some(delivery) = event.deliveries.get_mut(*n) {
            delivery.lease = true;
        }
    }
    Sending {
        event,
        places,
        known,
    }
}

impl Matched {
    /// Whether they are more than one call of the storage is to store.
    fn is_for_many(&self) -> bool {
        self.recipients.len() > most_deliveries(self.event.event.payload.len())
    }

    fn weight(&self) -> usize {
        weight(self.event.event.payload.len(), self.recipients.len())
    }
}

/// Whether it names an endpoint that this process does not know, or knows as disabled: it may not have
/// read what another one has registered.
const fn is_unknown(error: &WebhookError) -> bool {
    matches!(error, WebhookError::EndpointNotFound(_))
}

/// Answers the event at this place of the call.
fn answer(answers: &mut [Option<Result<Sent>>], place: usize, answer: Result<Sent>) {
    if let Some(slot) = answers.get_mut(place) {
        *slot = Some(answer);
    }
}

//! What observers are told of events and deliveries.

use webhooks_core::storage::spi::{Enqueued, NewEvent, SettleAs, Settlement};
use webhooks_core::{
    DeadReason, DeliveryEnd, DeliveryId, EndedInfo, Result, SendOptions, SentInfo, SentOutcome,
    Timestamp, WebhookError, WebhookEvent,
};

use crate::observer::Observer;
use crate::outgoing::Sent;

/// An event has come to its answer.
pub(super) fn sent(observer: &Observer, event: &NewEvent, sent: &Result<Sent>) {
    if !observer.is_there() {
        return;
    }
    let outcome = match sent {
        Ok(sent) if sent.duplicate => SentOutcome::Duplicate,
        Ok(sent) if sent.delivery_ids.is_empty() => SentOutcome::NoEndpoint,
        Ok(_) => SentOutcome::Stored,
        Err(error) => SentOutcome::of_error(error),
    };
    let event = &event.event;
    let mut info = SentInfo::new(outcome, &event.event_type);
    info.event_id = Some(sent.as_ref().map_or(event.id, |sent| sent.event_id));
    info.tenant = event.tenant.as_deref();
    info.trace = event.trace.as_ref();
    if outcome == SentOutcome::Stored {
        info.deliveries = sent.as_ref().map_or(0, |sent| sent.delivery_ids.len());
    }
    observer.tell(|observer| observer.event_sent(&info));
}

/// An event was refused before it was one.
pub(super) fn not_sent(observer: &Observer, send: &SendOptions<'_>, error: &WebhookError) {
    observer.tell(|observer| {
        let mut info = SentInfo::new(SentOutcome::of_error(error), send.event_type);
        info.tenant = send.tenant;
        info.trace = send.trace;
        observer.event_sent(&info);
    });
}

/// Deliveries of this event went to the dead letters when it was stored.
pub(super) fn dead_at_once(observer: &Observer, new: &NewEvent, answer: &Enqueued) {
    let Enqueued::Stored { dead, .. } = answer else {
        return;
    };
    let end = DeliveryEnd::Dead(DeadReason::BacklogFull);
    for delivery in new.deliveries.iter().filter(|d| dead.contains(&d.id)) {
        let info = ended(end, delivery.id, &delivery.endpoint_id, &new.event);
        observer.tell(|observer| observer.delivery_ended(&info));
    }
}

/// A settlement was stored; what it ends is over.
pub(super) fn settled(
    observer: &Observer,
    settlement: &Settlement,
    event: &WebhookEvent,
    now: impl FnOnce() -> Timestamp,
) {
    let end = match settlement.settle_as {
        SettleAs::Delivered => DeliveryEnd::Delivered,
        SettleAs::Dead { reason } => DeliveryEnd::Dead(reason),
        SettleAs::Cancelled { reason } => DeliveryEnd::Cancelled(Some(reason)),
        SettleAs::Retry { .. } | SettleAs::Release { .. } => return,
    };
    over(observer, settlement, event, end, now);
}

/// A delivery is over, as the answer to this settlement says. `now` is asked of one without an attempt,
/// and only if somebody observes: this is on the way of every delivery.
pub(super) fn over(
    observer: &Observer,
    settlement: &Settlement,
    event: &WebhookEvent,
    end: DeliveryEnd,
    now: impl FnOnce() -> Timestamp,
) {
    observer.tell(|observer| {
        let attempt = settlement.attempt.as_ref();
        // The endpoint knows nothing of how long it took to be written down.
        let at = attempt.map_or_else(now, |attempt| attempt.started_at.after(attempt.duration));
        let mut info = ended(end, settlement.delivery_id, &settlement.endpoint_id, event);
        info.age = at.since(event.created_at);
        info.attempts = attempt.map_or(0, |attempt| attempt.number);
        observer.delivery_ended(&info);
    });
}

fn ended<'a>(
    end: DeliveryEnd,
    delivery_id: DeliveryId,
    endpoint_id: &'a str,
    event: &'a WebhookEvent,
) -> EndedInfo<'a> {
    let mut info = EndedInfo::new(end, (delivery_id, event.id), &event.event_type, endpoint_id);
    info.tenant = event.tenant.as_deref();
    info
}

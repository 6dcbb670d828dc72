use std::sync::Arc;

use better_auth_webhooks::storage::spi::{NewDelivery, NewEvent};
use better_auth_webhooks::storage::{DeliveryQuery, DeliveryRecord};
use better_auth_webhooks::{
    CancelReason, DeadReason, DeliveryState, Lease, Timestamp, WebhookDelivery, WorkerId,
};

/// One delivery.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its lease stays after it ended, for the sake of the token.
    pub(crate) delivery: WebhookDelivery,
    pub(crate) state: DeliveryState,
    pub(crate) dead_reason: Option<DeadReason>,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) sent_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) token: u64,
}

impl Row {
    pub(crate) fn sort_key(&self) -> i64 {
        self.delivery.priority.sort_key(self.sent_at)
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, DeliveryState::Ready | DeliveryState::Scheduled)
    }

    pub(crate) fn is_erased(&self) -> bool {
        self.delivery.event.payload.is_empty()
    }

    pub(crate) fn wait_until(&mut self, due_at: Timestamp, now: Timestamp) {
        self.delivery.due_at = due_at;
        self.updated_at = now;
        self.state = if due_at > now {
            DeliveryState::Scheduled
        } else {
            DeliveryState::Ready
        };
    }

    pub(crate) fn record(&self) -> DeliveryRecord {
        let mut delivery = self.delivery.clone();
        if self.state != DeliveryState::Leased {
            delivery.lease = None;
        }
        let mut record = DeliveryRecord::new(delivery, self.state, self.updated_at);
        record.dead_reason = self.dead_reason;
        record.cancel_reason = self.cancel_reason;
        record
    }

    pub(crate) fn matches(&self, query: &DeliveryQuery) -> bool {
        let (delivery, event) = (&self.delivery, &self.delivery.event);
        query.id.is_none_or(|id| id == delivery.id)
            && query.before.is_none_or(|before| delivery.id < before)
            && query.event_id.is_none_or(|id| id == event.id)
            && query
                .endpoint_id
                .as_ref()
                .is_none_or(|id| *id == delivery.endpoint_id)
            && query
                .event_type
                .as_deref()
                .is_none_or(|t| t == event.event_type.as_str())
            && query
                .tenant
                .as_ref()
                .is_none_or(|t| Some(t) == event.tenant.as_ref())
            && (query.states.is_empty() || query.states.contains(&self.state))
            && query.from.is_none_or(|from| from <= event.created_at)
            && query.to.is_none_or(|to| event.created_at < to)
            && query.updated_before.is_none_or(|at| self.updated_at < at)
    }
}

/// A delivery that was just sent; leased if a worker is given.
pub(crate) fn new_row(
    new: &NewEvent,
    delivery: &NewDelivery,
    incarnation: u64,
    worker: Option<&WorkerId>,
    now: Timestamp,
) -> Row {
    let mut row = Row {
        delivery: WebhookDelivery {
            id: delivery.id,
            incarnation,
            by_name: delivery.by_name,
            priority: new.priority,
            max_retries: new.max_retries,
            ..WebhookDelivery::new(&delivery.endpoint_id, Arc::clone(&new.event))
        },
        state: DeliveryState::Ready,
        dead_reason: None,
        cancel_reason: None,
        sent_at: new.event.created_at,
        updated_at: now,
        token: 0,
    };
    row.wait_until(new.due_at, now);
    if let Some(worker) = worker {
        (row.state, row.token) = (DeliveryState::Leased, 1);
        row.delivery.lease = Some(Lease {
            worker: worker.clone(),
            token: 1,
        });
    }
    row
}

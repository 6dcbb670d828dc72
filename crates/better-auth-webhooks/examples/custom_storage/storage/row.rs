use std::sync::Arc;

use better_auth_webhooks::storage::DeliveryRecord;
use better_auth_webhooks::storage::spi::NewDelivery;
use better_auth_webhooks::{
    DeadReason, DeliveryState, Lease, OnDead, Priority, Timestamp, WebhookDelivery, WebhookEvent,
    WorkerId,
};

/// One delivery.
#[derive(Debug)]
pub(crate) struct Row {
    /// As it is listed, but that its lease stays after it ended, for the sake of the token.
    pub(crate) record: DeliveryRecord,
    /// When it was sent, or sent again.
    pub(crate) sent_at: Timestamp,
    pub(crate) token: u64,
    /// Where it stands in its order, if in one.
    pub(crate) place: u64,
}

impl Row {
    /// A delivery that was just made, of which the lease and the place are not decided.
    ///
    /// One with an order is blocked. The first of an order goes at the end of the call:
    /// [`let_heads_go`](super::lists::Lists::let_heads_go).
    pub(crate) fn new(
        new: &NewDelivery,
        event: &Arc<WebhookEvent>,
        incarnation: u64,
        now: Timestamp,
    ) -> Self {
        let delivery = WebhookDelivery {
            id: new.id,
            incarnation,
            by_name: new.by_name,
            order: new.order.clone(),
            ..WebhookDelivery::new(&new.endpoint_id, Arc::clone(event))
        };
        Self {
            sent_at: event.created_at,
            record: DeliveryRecord::new(delivery, DeliveryState::Blocked, now),
            token: 0,
            place: 0,
        }
    }

    /// With what all deliveries of an event share.
    pub(crate) fn with(mut self, priority: Priority, due_at: Timestamp, max_retries: u32) -> Self {
        let delivery = &mut self.record.delivery;
        (delivery.priority, delivery.due_at, delivery.max_retries) =
            (priority, due_at, max_retries);
        self
    }

    pub(crate) fn sort_key(&self) -> i64 {
        self.record.delivery.priority.sort_key(self.sent_at)
    }

    /// Whether it waits, and no worker has it.
    pub(crate) fn is_idle(&self) -> bool {
        !self.record.state.is_ended() && self.record.state != DeliveryState::Leased
    }

    pub(crate) fn is_erased(&self) -> bool {
        self.record.delivery.event.payload.is_empty()
    }

    pub(crate) fn is_of(&self, endpoint_id: &str) -> bool {
        *self.record.delivery.endpoint_id == *endpoint_id
    }

    pub(crate) fn is_leased_to(&self, worker: &WorkerId) -> bool {
        let lease = self.record.delivery.lease.as_ref();
        let is_its = lease.is_some_and(|lease| lease.worker == *worker);
        self.record.state == DeliveryState::Leased && is_its
    }

    /// Whether it died in such a way that those behind it in its order wait for it.
    pub(crate) fn holds_order(&self) -> bool {
        let order = self.record.delivery.order.as_ref();
        let is_out = matches!(
            self.record.dead_reason,
            None | Some(DeadReason::BacklogFull | DeadReason::Expired)
        );
        order.is_some_and(|order| order.on_dead == OnDead::Hold) && !is_out && !self.is_erased()
    }

    pub(crate) fn wait_until(&mut self, due_at: Timestamp, now: Timestamp) {
        self.record.delivery.due_at = due_at;
        self.record.updated_at = now;
        self.record.state = match due_at > now {
            true => DeliveryState::Scheduled,
            false => DeliveryState::Ready,
        };
    }

    pub(crate) fn lease_to(&mut self, worker: &WorkerId, now: Timestamp) {
        self.token += 1;
        self.record.state = DeliveryState::Leased;
        self.record.updated_at = now;
        self.record.delivery.lease = Some(Lease {
            worker: worker.clone(),
            token: self.token,
        });
    }

    /// Begins anew what has ended; where it waits is decided after this.
    pub(crate) fn begin_anew(&mut self, now: Timestamp) {
        let record = &mut self.record;
        (record.dead_reason, record.cancel_reason) = (None, None);
        (record.last_status, record.last_failure) = (None, None);
        (record.delivery.attempts, record.delivery.crashes) = (0, 0);
        self.sent_at = now;
        self.wait_until(now, now);
    }

    pub(crate) fn record(&self) -> DeliveryRecord {
        let mut record = self.record.clone();
        if record.state != DeliveryState::Leased {
            record.delivery.lease = None;
        }
        record
    }
}

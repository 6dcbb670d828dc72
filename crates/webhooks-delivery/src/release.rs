//! Gives back to the storage what this process leased and does not start.

use std::sync::Arc;

use webhooks_core::storage::{SettleAs, Settlement};
use webhooks_core::{CancelReason, Clock, Timestamp, WebhookDelivery};

use crate::dispatcher::Dispatcher;
use crate::lane::{Lane, LaneState};
use crate::recorder::Entry;

impl Dispatcher {
    /// Gives everything that waits in a lane back to the storage, to be claimed from `at` on.
    pub(crate) fn give_back(&self, lane: &Arc<Lane>, state: &mut LaneState, at: Timestamp) {
        let at = state.due_again(at);
        for delivery in state.take_waiting() {
            self.release(Some(lane), &delivery, at);
        }
    }

    /// Gives one delivery back to the storage, not counted, due at `at`.
    pub(crate) fn release(
        &self,
        lane: Option<&Arc<Lane>>,
        delivery: &WebhookDelivery,
        at: Timestamp,
    ) {
        self.settle_unsent(lane, delivery, SettleAs::Release { at });
    }

    /// Cancels a delivery in hand whose endpoint no longer takes its type.
    pub(crate) fn cancel(&self, lane: &Arc<Lane>, delivery: &WebhookDelivery) {
        let reason = CancelReason::TypeNotTaken;
        self.settle_unsent(Some(lane), delivery, SettleAs::Cancelled { reason });
    }

    /// Cancels what waits in a lane whose endpoint no longer takes it.
    pub(crate) fn cancel_not_taken(&self, lane: &Arc<Lane>, state: &mut LaneState) {
        let waiting = state.take_waiting();
        let (taken, not_taken) = waiting.partition::<Vec<_>, _>(|d| state.takes(d));
        for delivery in taken {
            match delivery.is_poison_suspect() {
                true => state.suspect = Some(delivery),
                false => state.waiting.push_back(delivery),
            }
        }
        not_taken.iter().for_each(|d| self.cancel(lane, d));
    }

    fn settle_unsent(
        &self,
        lane: Option<&Arc<Lane>>,
        delivery: &WebhookDelivery,
        settle_as: SettleAs,
    ) {
        let Some(lease) = &delivery.lease else { return };
        self.recorder.record(Entry::Settle {
            settlement: Settlement {
                delivery_id: delivery.id,
                endpoint_id: delivery.endpoint_id.clone(),
                token: lease.token,
                settle_as,
                attempt: None,
            },
            event: delivery.event.clone(),
            lane: lane.cloned(),
        });
    }

    /// The leases of this process are gone: nothing that it has in hand may start.
    pub(crate) fn leases_lost(&self) {
        self.heartbeat.leases_lost();
        self.give_all_back();
    }

    /// Gives back all that waits in lanes.
    pub(crate) fn give_all_back(&self) {
        let now = self.clock.now();
        for lane in self.hand.lanes() {
            self.give_back(&lane, &mut lane.lock(), now);
        }
    }
}

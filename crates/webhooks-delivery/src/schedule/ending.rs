//! A request ends.
//!
//! The order matters. First the permit is settled, then the gates that follow from the response
//! become entries, then the settlements, and last the slot is free. Gates are thus stored before
//! any delivery that they hold back can be claimed again, and the next request of the lane is
//! judged by the circuit that this one has changed.
//!
//! A request whose endpoint has moved, was reset or is gone settles its delivery as always, but
//! says nothing of the endpoint's health.

use std::sync::Arc;

use webhooks_core::storage::EndpointRecord;
use webhooks_core::storage::spi::SettleAs;
use webhooks_core::{
    AttemptRecord, CancelReason, DeliveryResult, FailureKind, Timestamp, WebhookDelivery,
};

use super::carried::Carried;
use super::command::Command;
use super::consequences::Consequences;
use super::in_flight::Running;
use super::lane_id::{LaneId, RequestId};
use super::now::Now;
use super::outcome::{settle_as, verdict};
use super::scheduler::Scheduler;

impl Scheduler {
    /// A request came to this result: what it carried is settled, and others may start.
    pub(crate) fn ended(&mut self, now: Now, request: RequestId, result: &DeliveryResult) {
        let Some(running) = self.take_running(request) else {
            // Cut off: its delivery was released, and may run elsewhere by now. To settle it again
            // would answer for a lease that this request no longer has.
            return;
        };
        let Running {
            started,
            started_at,
            record,
            carried,
            permit,
            lease_epoch,
            ..
        } = running;
        // Without a verdict, as nobody was asked, the permit is dropped: that gives a probe back.
        let circuit = verdict(result).and_then(|verdict| permit.settle(verdict, now.at));
        let id = request.lane;
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        // One of them may be what was refused: they go one by one, not counted, or one bad event would
        // cost each of its neighbours an attempt, or end them all.
        let goes_singly = is_refused_batch(&carried, result);
        // Where the endpoint was before, or what it answered before its health was reset, says
        // nothing of it now. Compared with the record as it was at the start, not as it is now.
        if lane.is_where(&record) {
            let mut consequences = Consequences {
                lane,
                out: &mut self.out,
                settings: &self.settings,
                admission: &*self.admission,
                now: now.at,
            };
            consequences.draw(circuit, result, !goes_singly);
        }
        if goes_singly {
            let taken = |delivery: &WebhookDelivery| lane.takes(delivery);
            let deliveries = carried.into_deliveries().into_iter();
            let (back, not_taken) = deliveries.partition::<Vec<_>, _>(taken);
            lane.waiting.put_back_alone(back);
            self.cancel_not_taken(id, not_taken);
        } else {
            for delivery in carried.into_deliveries() {
                self.settle_attempt(id, delivery, result, started_at, now.at);
            }
        }
        if let Some(lane) = self.lanes.get_mut(id) {
            // After the consequences, which may have set the window back: this success then counts
            // for the new one.
            lane.pace.ended(started, result.is_delivered(), now.moment);
        }
        self.request_over(now, id, &record, lease_epoch);
    }

    /// A request was not sent, for something that this process lacks. What it carried goes back, not
    /// counted, and says nothing of the endpoint. Its lane pauses, or all would be claimed and given
    /// back for as long as that lasts.
    pub(crate) fn ended_untried(&mut self, now: Now, request: RequestId) {
        let Some(running) = self.take_running(request) else {
            return;
        };
        let id = request.lane;
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let until = now.at.after(lane.pace.untried());
        let is_there = lane.is_where(&running.record);
        let batch = lane.batch();
        lane.waiting.put_back(running.carried, batch.as_ref());
        // Without a verdict.
        drop(running.permit);
        if is_there {
            self.hold(id, until);
        }
        // Behind the hold in the queue of entries, or it would come out at once.
        self.give_back(id, now.at);
        self.request_over(now, id, &running.record, running.lease_epoch);
    }

    /// A request was not started in time: its task came to it only after the lease window had ended,
    /// since the machine was suspended, say. What it carried goes back, not counted; others may have
    /// taken it over by now.
    pub(crate) fn ended_unstarted(&mut self, now: Now, request: RequestId) {
        let Some(running) = self.take_running(request) else {
            return;
        };
        let id = request.lane;
        if let Some(lane) = self.lanes.get_mut(id) {
            let batch = lane.batch();
            lane.waiting.put_back(running.carried, batch.as_ref());
        }
        // Without a verdict.
        drop(running.permit);
        self.give_back(id, now.at);
        self.request_over(now, id, &running.record, running.lease_epoch);
    }

    /// Takes a request out of those in flight; `None` if it was cut off.
    fn take_running(&mut self, request: RequestId) -> Option<Running> {
        let lane = self.lanes.get_mut(request.lane)?;
        // Whoever takes it out settles it: an end and a cut-off that race meet here under the
        // scheduler's lock, and one of them finds nothing.
        lane.in_flight.remove(request.number)
    }

    /// Counts a delivery's attempt, and has it written down.
    fn settle_attempt(
        &mut self,
        id: LaneId,
        delivery: WebhookDelivery,
        result: &DeliveryResult,
        started_at: Timestamp,
        now: Timestamp,
    ) {
        // The storage counts the attempt when it is settled; until then the delivery says how many
        // came before.
        self.count_attempt(id, delivery.attempts.saturating_add(1), result);
        let Some(lane) = self.lanes.get(id) else {
            return;
        };
        let settle_as = match settle_as(&self.settings.retry_strategy, &delivery, result, now) {
            SettleAs::Retry { .. } if !lane.takes(&delivery) => SettleAs::Cancelled {
                reason: CancelReason::TypeNotTaken,
            },
            settle_as => settle_as,
        };
        if matches!(settle_as, SettleAs::Dead { .. }) {
            self.count_dead(id);
        }
        let mut attempt = AttemptRecord::of(&delivery, result);
        // The storage's time, as the scheduler knew it: the transport may have a clock of its own.
        attempt.started_at = started_at;
        self.out
            .settle(Some(id), delivery, settle_as, Some(attempt));
    }

    /// Gives the slot of a request back, whose entry is made, and starts what can start then.
    fn request_over(&mut self, now: Now, id: LaneId, was: &Arc<EndpointRecord>, lease_epoch: u64) {
        // Before the slot is free and others start, so that they see how many unproven requests
        // there are now.
        self.recount(id, now.moment);
        self.free_slot(id, now);
        let still_holds = self.still_holds(lease_epoch);
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        if let Some(endpoint) = &lane.left {
            // By the endpoint as it was counted, though its definition may be gone.
            self.left_running.remove_one(endpoint);
        }
        // The transport was told to forget an endpoint that was changed or deleted, but since then
        // this request may have made it keep that definition again, with its keys.
        if lane.record.deleted || !Arc::ptr_eq(&lane.record.endpoint, &was.endpoint) {
            self.out.push(Command::Forget(lane.endpoint_id.clone()));
        }
        self.turns.push(lane);
        if !lane.is_open(now.at) || !still_holds {
            self.give_back(id, now.at);
        }
        self.start_what_can(now);
    }
}

/// Whether a batch was refused with a status that may be meant for one of its events.
fn is_refused_batch(carried: &Carried, result: &DeliveryResult) -> bool {
    let is_refused = matches!(
        result.failure(),
        Some(FailureKind::ClientError | FailureKind::TooLarge)
    );
    is_refused && matches!(carried, Carried::Batch(_))
}

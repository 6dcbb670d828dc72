//! What can start starts, in turn; what cannot goes back.
//!
//! One endpoint never hurts another: a lane has its own cap of requests in flight, lanes have their
//! turns one request each, and unproven endpoints have at most half of the slots together.
//!
//! A start needs, in this order: a valid lease window, an open lane, room in the lane's window and
//! cap, no stall, a slot, something that waits, and the permit of admission. Admission comes last,
//! because its permits count: a permit for a request that cannot start would take a probe or a
//! token from one that can.

use webhooks_core::storage::spi::{GateChange, SettleAs};
use webhooks_core::{
    Admission, AdmissionDecision, CancelReason, Permit, Timestamp, WebhookDelivery,
};

use super::carried::Carried;
use super::command::{Command, Request};
use super::in_flight::Running;
use super::kind::Kind;
use super::lane::Lane;
use super::lane_id::{LaneId, RequestId};
use super::now::Now;
use super::scheduler::Scheduler;
use super::slots::Full;
use super::tenants::TenantId;

/// Why no request of a lane can start, slots and admission aside.
enum Obstacle {
    /// This process may start nothing at the moment.
    NoLeases,
    /// The endpoint is held, paused, disabled or gone.
    Closed,
    /// It has as many requests in flight as it may have.
    Busy,
    /// It must wait until requests at other endpoints of its kind end.
    Stalled(Kind),
}

/// What came of a lane's turn.
///
/// Whether the lane goes to the end of the queue, leaves it, or stays first while the queue rests.
enum Turn {
    /// It started a request and may start another.
    Again,
    /// It has nothing more to start, or must wait for a request of its own to end.
    Over,
    /// Nothing can start at the moment.
    Stop,
}

impl Scheduler {
    /// Starts what can start.
    pub(super) fn start_what_can(&mut self, now: Now) {
        // Ends, since each round starts a request, takes a lane out of the queue, or stops.
        while let Some(id) = self.turns.next() {
            let turn = self.take_turn(id, now);
            let Some(lane) = self.lanes.get_mut(id) else {
                continue;
            };
            match (turn, lane.tenant) {
                (Turn::Again, _) => self.turns.push(lane),
                // It may have had its turn for a share that it makes no use of.
                (Turn::Over, Some(tenant)) => self.pass_share_on(tenant, now),
                (Turn::Over, None) => {}
                // First, as it has waited longest. Were it pushed to the end, lanes before it would
                // have two turns for its one.
                (Turn::Stop, _) => return self.turns.push_first(lane),
            }
        }
    }

    fn take_turn(&mut self, id: LaneId, now: Now) -> Turn {
        let Some(lane) = self.lanes.get(id) else {
            return Turn::Over;
        };
        let obstacle = self.obstacle(lane, now);
        let Some(lane) = self.lanes.get_mut(id) else {
            return Turn::Over;
        };
        // It has left the queue; from here on whoever gives it a turn may put it in again.
        lane.queued.for_turn = false;
        match obstacle {
            // The next beat that is stored starts the queue again.
            Some(Obstacle::NoLeases) => return Turn::Stop,
            Some(Obstacle::Closed) => {
                self.give_back(id, now.at);
                return Turn::Over;
            }
            // The end of one of its requests gives it a turn.
            Some(Obstacle::Busy) => return Turn::Over,
            Some(Obstacle::Stalled(kind)) => {
                // Others may have a slot for it; here it would only fill the room for leases.
                self.turns.stall(lane, kind);
                self.give_back(id, now.at);
                return Turn::Over;
            }
            None => {}
        }
        match self.slots.take(lane, &mut self.tenants) {
            Ok(()) => self.start_next(id, now),
            Err(Full::Tenant) => Turn::Over,
            Err(Full::All) => Turn::Stop,
        }
    }

    fn obstacle(&self, lane: &Lane, now: Now) -> Option<Obstacle> {
        if !self.holds_leases(now.moment) {
            Some(Obstacle::NoLeases)
        } else if !lane.is_open(now.at) {
            Some(Obstacle::Closed)
        } else if self.is_busy(lane) {
            Some(Obstacle::Busy)
        } else {
            let kind = self.slots.stalls(lane, now.moment);
            kind.map(Obstacle::Stalled)
        }
    }

    /// Whether the lane has as many requests in flight as it may have.
    fn is_busy(&self, lane: &Lane) -> bool {
        // Requests of a deleted or replaced endpoint count as the lane's own.
        let left = self.left_running.against(&lane.record.endpoint);
        let most = lane
            .pace
            .window()
            .min(self.settings.max_in_flight_per_endpoint);
        lane.in_flight.len() + left >= most
    }

    /// Starts the next request of a lane, whose slot was taken, if admission lets it.
    fn start_next(&mut self, id: LaneId, now: Now) -> Turn {
        let Some(lane) = self.lanes.get_mut(id) else {
            return Turn::Over;
        };
        let batch = lane.batch();
        // A turn that finds nothing is no fault: what waited may have been given back since.
        let Some(carried) = lane.waiting.take_next(batch.as_ref()) else {
            self.free_slot(id, now);
            return Turn::Over;
        };
        // Where the storage keeps rate limits, what it let out may go.
        let system = self.settings.rate_limit;
        let limit = (!self.storage_limits_rate).then(|| lane.rate_limit(system));
        forget_health(lane, &*self.admission);
        match self
            .admission
            .admit(&lane.endpoint_id, limit.flatten(), now.at)
        {
            AdmissionDecision::Go(permit) => {
                self.start(id, carried, permit, now);
                Turn::Again
            }
            // The hold is stored, and the storage lets nothing of the endpoint out until then:
            // neither this process nor another polls it.
            AdmissionDecision::Wait { until, because } => {
                // At its place, so that `give_back` below settles it with the others.
                lane.waiting.put_back(carried, batch.as_ref());
                let endpoint_id = &lane.endpoint_id;
                tracing::debug!(%endpoint_id, %until, ?because, "endpoint is held");
                self.free_slot(id, now);
                self.hold(id, until);
                // It is stored that the endpoint is held before this is given back.
                self.give_back(id, now.at);
                Turn::Over
            }
        }
    }

    /// Starts a request; its slot was taken.
    fn start(&mut self, id: LaneId, carried: Carried, permit: Box<dyn Permit>, now: Now) {
        let lease_epoch = self.lease_window.epoch();
        let start_by = self.lease_window.ends().unwrap_or(now.moment);
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let Some(first) = carried.deliveries().first() else {
            return;
        };
        // One number for the whole batch: the receiver sees the highest, and is not told "first" of
        // an event that it may have seen.
        let attempts = carried.deliveries().iter().map(|d| d.attempts).max();
        let number = lane.in_flight.next_number();
        self.out.push(Command::Start(Request {
            id: RequestId { lane: id, number },
            record: lane.record.clone(),
            content: carried.content(),
            delivery_id: first.id,
            number: attempts.unwrap_or(0).saturating_add(1),
            due_at: first.due_at,
            started_at: now.at,
            start_by,
        }));
        self.starts += 1;
        lane.last_start = self.starts;
        // Under the same lock as the command: an end that comes at once finds the request.
        lane.in_flight.push(Running {
            number,
            started: now.moment,
            started_at: now.at,
            record: lane.record.clone(),
            carried,
            permit,
            lease_epoch,
        });
        self.recount(id, now.moment);
    }

    /// Gives a slot of the lane back; a lane of its tenant that has waited for that gets a turn.
    pub(super) fn free_slot(&mut self, id: LaneId, now: Now) {
        let Some(lane) = self.lanes.get(id) else {
            return;
        };
        let tenant = lane.tenant;
        self.slots.free(lane, &mut self.tenants);
        if let Some(tenant) = tenant {
            self.pass_share_on(tenant, now);
        }
    }

    /// Gives the lane a turn that has waited longest for a share of its tenant, if there is one. A lane
    /// that has nothing to start any more, or something else in its way, is passed over.
    fn pass_share_on(&mut self, tenant: TenantId, now: Now) {
        while self.slots.has_share(tenant, &self.tenants)
            && let Some(id) = self.tenants.next_waiting(tenant)
        {
            let Some(lane) = self.lanes.get_mut(id) else {
                continue;
            };
            lane.queued.for_share = false;
            self.turns.push(lane);
            let lane = self.lanes.get(id).filter(|lane| lane.queued.for_turn);
            if lane.is_some_and(|lane| self.obstacle(lane, now).is_none()) {
                break;
            }
        }
    }

    /// Lets nothing of a lane be claimed or started before `until`, here and elsewhere.
    pub(super) fn hold(&mut self, id: LaneId, until: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.hold.decide(until);
            self.out
                .gate(lane.gate_change(GateChange::Hold { until }), None);
        }
    }

    /// Gives everything that waits in a lane back to the storage, to be claimed from `at` on.
    pub(super) fn give_back(&mut self, id: LaneId, at: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(id) {
            // Not at `at` itself: the wait of a batch counts from the due time, and would begin
            // again.
            let at = lane.due_again(at);
            for delivery in lane.waiting.take_all() {
                self.out
                    .settle(Some(id), delivery, SettleAs::Release { at }, None);
            }
        }
    }

    /// Cancels what the endpoint of a lane no longer takes.
    pub(super) fn cancel_not_taken(&mut self, id: LaneId, deliveries: Vec<WebhookDelivery>) {
        let reason = CancelReason::TypeNotTaken;
        for delivery in deliveries {
            let cancelled = SettleAs::Cancelled { reason };
            self.out.settle(Some(id), delivery, cancelled, None);
        }
    }

    /// Gives back what was never taken into a lane, not counted, due at `at`.
    pub(super) fn send_back(
        &mut self,
        deliveries: impl IntoIterator<Item = WebhookDelivery>,
        at: Timestamp,
    ) {
        for delivery in deliveries {
            self.out
                .settle(None, delivery, SettleAs::Release { at }, None);
        }
    }
}

/// Lets admission forget what it knows of an endpoint's health, if that counts no more. In the same
/// step in which the lane learns of that, so that no request is refused by what is void, and the
/// endpoint held anew.
pub(super) fn forget_health(lane: &mut Lane, admission: &dyn Admission) {
    if lane.take_begins_anew() {
        admission.forget(&lane.endpoint_id);
    }
}

//! An event is to be sent, and is stored or not.
//!
//! Straight through: before an event is stored, its deliveries ask for a place. What gets one is
//! stored leased, and goes into its lane right after the commit, with no claim.
//!
//! A place counts as a lease from the moment it is reserved, before the storage knows the delivery.
//! So a burst of senders cannot lease more than this process may hold. Each place is used or given
//! back exactly once: by [`stored`](Scheduler::stored), [`not_stored`](Scheduler::not_stored) or
//! [`give_up`](Scheduler::give_up).

use std::sync::Arc;

use webhooks_core::storage::spi::{Enqueued, NewEvent, SettleAs};
use webhooks_core::{CancelReason, DeliveryId, Lease, WebhookDelivery, WebhookEvent, WorkerId};

use super::candidates::Candidates;
use super::command::Command;
use super::lane::Lane;
use super::lane_id::LaneId;
use super::now::Now;
use super::pace::MAX_DEPTH;
use super::recipient::Recipient;
use super::scheduler::Scheduler;
use crate::notice::Notice;

/// A place for a delivery that is about to be stored. It is to be used or given back.
#[derive(Clone, Copy, Debug)]
#[must_use = "a place that is not given back stays counted"]
pub(crate) struct Place {
    lane: LaneId,
    /// The leases under which it was made.
    /// If they are lost before the commit is answered, the delivery goes back.
    lease_epoch: u64,
}

/// An event that was to be stored, with the places of its deliveries: each with which of the event's
/// deliveries it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) event: &'a NewEvent,
    pub(crate) places: &'a [(usize, Place)],
}

impl Scheduler {
    /// The endpoints that take an event of this type, sent for this tenant, if any; what is in it is
    /// still to be asked about.
    pub(crate) fn candidates(&self, tenant: Option<&Arc<str>>, event_type: &str) -> Candidates {
        let lanes = self.directory.matches(tenant, event_type);
        let lanes = lanes.into_iter().filter_map(|id| self.lanes.get(id));
        lanes.collect()
    }

    /// How many endpoints take an event at most.
    pub(crate) fn endpoints(&self) -> usize {
        self.directory.len()
    }

    /// The endpoint with this id, if it takes events.
    pub(crate) fn recipient(&self, endpoint_id: &str) -> Option<Recipient> {
        let lane = self.lane_of(endpoint_id)?;
        lane.record.takes_events().then(|| Recipient::of(lane))
    }

    /// Reserves a place for a delivery of this event, if there is room and nothing of its endpoint
    /// waits in the storage, which has its turn first.
    pub(crate) fn reserve(
        &mut self,
        now: Now,
        event: &WebhookEvent,
        recipient: &Recipient,
    ) -> Option<Place> {
        let lane = self.lanes.get(recipient.lane)?;
        // Only the storage knows which delivery of an order is its head.
        if recipient.order(event).is_some()
            || !self.goes_straight_through(lane, now)
            || !self.has_room(lane, now)
        {
            return None;
        }
        // Looked up again: the questions above borrow the whole scheduler.
        let lane = self.lanes.get_mut(recipient.lane)?;
        lane.counted.reserved += 1;
        if self.held.put_in(lane, 1) {
            self.out.watch();
        }
        // A place is as good as a request for the half that unproven lanes share: all of a burst
        // would else be reserved before the first of it starts.
        self.recount(recipient.lane, now.moment);
        Some(Place {
            lane: recipient.lane,
            lease_epoch: self.lease_window.epoch(),
        })
    }

    /// Gives places back that are not used.
    pub(crate) fn give_up(&mut self, now: Now, places: impl IntoIterator<Item = Place>) {
        for place in places {
            self.leave(now, place);
            let Some(lane) = self.lanes.get_mut(place.lane) else {
                continue;
            };
            self.held.take_out(lane, 1);
            let is_work = lane.record.gate.max_leased.is_some() || lane.has_more();
            self.lanes.drop_if_done(place.lane);
            self.room_made(is_work);
        }
        self.start_what_can(now);
    }

    /// Events were stored, all in one commit of this worker: takes what is leased, starts what can
    /// start, and sees to the rest being claimed.
    pub(crate) fn stored<'a>(
        &mut self,
        now: Now,
        worker: &WorkerId,
        events: impl IntoIterator<Item = (Stored<'a>, &'a Enqueued)>,
    ) {
        for (stored, enqueued) in events {
            self.stored_one(now, worker, stored, enqueued);
        }
        self.start_what_can(now);
    }

    fn stored_one(&mut self, now: Now, worker: &WorkerId, stored: Stored<'_>, answer: &Enqueued) {
        let Stored { event, places } = stored;
        let Enqueued::Stored { missing, dead } = answer else {
            return self.give_up(now, places.iter().map(|(_, place)| *place));
        };
        for delivery in event.deliveries.iter().filter(|d| !missing.contains(&d.id)) {
            self.count_sent(&delivery.endpoint_id, 1);
        }
        for delivery in event.deliveries.iter().filter(|d| dead.contains(&d.id)) {
            let notice = Notice::backlog_full(delivery, &event.event);
            self.out.push(Command::Tell(notice));
        }
        // Of these the storage has leased nothing.
        let is_gone = |id: &DeliveryId| missing.contains(id) || dead.contains(id);
        for (n, place) in places {
            let delivery = leased(event, *n, worker).filter(|d| !is_gone(&d.id));
            // The answer may have come after the lease was given back as lost; then it only gives
            // the place back.
            match delivery.filter(|delivery| self.leases.arrives(delivery)) {
                Some(delivery) => self.take_place(now, *place, delivery),
                None => self.give_up(now, [*place]),
            }
        }
        if places.len() < event.deliveries.len() {
            self.waits_in_storage(now, event);
        }
    }

    /// Events were not stored, or perhaps only the answer was lost: then what is leased of them goes
    /// back.
    pub(crate) fn not_stored<'a>(
        &mut self,
        now: Now,
        worker: &WorkerId,
        events: impl IntoIterator<Item = Stored<'a>>,
    ) {
        for Stored { event, places } in events {
            for (n, place) in places {
                self.give_up(now, [*place]);
                let delivery = leased(event, *n, worker);
                // If nothing was stored, the storage answers `Stale`, and nothing comes of it. If
                // it was, and only the answer was lost, it would else stay leased while this
                // process lives.
                self.send_back(delivery, now.at);
            }
        }
    }

    /// Takes a delivery, now that it is stored and leased.
    fn take_place(&mut self, now: Now, place: Place, delivery: WebhookDelivery) {
        // The commit may have taken long, and the beat may be overdue by now.
        let still_holds = self.still_holds(place.lease_epoch) && self.holds_leases(now.moment);
        self.leave(now, place);
        let Some(lane) = self.lanes.get_mut(place.lane) else {
            return;
        };
        // What has changed while the event was stored.
        let settle_as = if !lane.takes(&delivery) {
            let reason = CancelReason::TypeNotTaken;
            SettleAs::Cancelled { reason }
        } else if !still_holds || !lane.is_open(now.at) {
            SettleAs::Release { at: now.at }
        } else {
            lane.waiting.insert_in_order(delivery);
            return self.turns.push(lane);
        };
        self.out.settle(Some(place.lane), delivery, settle_as, None);
    }

    /// A delivery is no longer on its way into the storage.
    fn leave(&mut self, now: Now, place: Place) {
        if let Some(lane) = self.lanes.get_mut(place.lane) {
            lane.counted.reserved -= 1;
            self.recount(place.lane, now.moment);
        }
    }

    /// Deliveries of an event wait in the storage, to be claimed.
    fn waits_in_storage(&mut self, now: Now, event: &NewEvent) {
        if event.due_at > now.at {
            // The next claim tells when the next delivery is due.
            return self.out.claim();
        }
        for delivery in event.deliveries.iter().filter(|delivery| !delivery.lease) {
            let id = self.directory.get(&delivery.endpoint_id);
            let Some(lane) = id.and_then(|id| self.lanes.get_mut(id)) else {
                self.out.claim();
                continue;
            };
            // From now on senders to this endpoint go through the storage, behind what waits there:
            // otherwise later events would overtake these.
            self.held.mark_backlog(lane);
            let most = lane.most_leased(self.settings.max_in_flight_per_endpoint);
            // What makes room in a lane that is full looks for work.
            if lane.counted.leased < most {
                self.out.claim();
            }
        }
    }

    /// Whether deliveries of a lane may be stored leased at all.
    fn goes_straight_through(&self, lane: &Lane, now: Now) -> bool {
        // What is in batches, in the storage, or limited by it, is let out by claims alone.
        let is_limited_by_storage =
            self.storage_limits_rate && lane.rate_limit(self.settings.rate_limit).is_some();
        !lane.queued.backlogged
            && lane.batch().is_none()
            // The limit counts the leases of all processes, which only the storage can.
            && lane.record.gate.max_leased.is_none()
            && !is_limited_by_storage
            && lane.is_open(now.at)
    }

    /// Whether the lane can take a delivery straight through, to be started soon. Part of the room is
    /// for claims alone, of each lane and of all: senders are quicker to take what becomes free, and
    /// what waits in the storage would wait for as long as they are many.
    fn has_room(&self, lane: &Lane, now: Now) -> bool {
        let leased = lane.counted.leased;
        // Twice, so that the next one is there when a request ends.
        let window = lane.pace.window().saturating_mul(2);
        let each = self.settings.max_in_flight_per_endpoint;
        let most = lane.most_leased(each);
        // A claim is nearly always on its way, and mostly brings nothing of this lane: it counts for
        // what no lane may ever have, not for what this one may have now.
        let with_claims = leased + self.claims.may_bring(lane);
        let for_claims = self.settings.max_in_flight;
        self.holds_leases(now.moment)
            // One place of the lane stays for claims, and `max_in_flight` requests of all.
            && leased < window.min(most - 1)
            && with_claims < MAX_DEPTH * each
            && self.left_to_lease() > for_claims
            && self.slots.stalls(lane, now.moment).is_none()
    }
}

/// The event's delivery number `n`, as it was leased when it was stored.
///
/// It is made here from what was stored, with no read: a new delivery has token 1 and no attempt,
/// by the contract of `enqueue`.
fn leased(event: &NewEvent, n: usize, worker: &WorkerId) -> Option<WebhookDelivery> {
    let new = event.deliveries.get(n)?;
    Some(WebhookDelivery {
        id: new.id,
        endpoint_id: new.endpoint_id.clone(),
        incarnation: new.incarnation.unwrap_or(0),
        by_name: new.by_name,
        order: new.order.clone(),
        event: event.event.clone(),
        priority: event.priority,
        due_at: event.due_at,
        attempts: 0,
        max_retries: event.max_retries,
        crashes: 0,
        lease: Some(Lease {
            worker: worker.clone(),
            token: 1,
        }),
        endpoint: None,
    })
}

//! There is room for a claim, and it brings deliveries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::spi::{ClaimRoom, SettleAs};
use webhooks_core::{CancelReason, WebhookDelivery};

use super::claims::ClaimId;
use super::lane::Lane;
use super::lane_id::LaneId;
use super::now::Now;
use super::pace::{DEPTH, MAX_DEPTH};
use super::scheduler::Scheduler;

/// Deliveries of one claim at most.
const BATCH: usize = 512;
/// How long a delivery goes back for, of an endpoint that this process does not know yet, or knows
/// as closed though the storage let the delivery out.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

/// What is to be claimed.
#[derive(Debug)]
pub(crate) struct ClaimRequest {
    /// Deliveries at most.
    pub(crate) limit: usize,
    /// Deliveries of each endpoint that `room` does not name.
    pub(crate) per_endpoint: usize,
    pub(crate) room: Vec<ClaimRoom>,
    /// Poison suspects at most.
    pub(crate) poison_suspects: usize,
    id: ClaimId,
    lease_epoch: u64,
    /// There is likely more, and room for it.
    is_more: bool,
    /// What it brought of endpoints that are not known, or known as closed.
    unknown: Vec<(Arc<str>, Vec<WebhookDelivery>)>,
}

/// What follows on what a claim has brought.
#[derive(Debug)]
pub(crate) enum AfterClaim {
    /// There is likely more, and room for it.
    Again,
    /// That was all, for now.
    Rest,
    /// It brought something of endpoints that another process has just registered, opened or deleted:
    /// endpoints are to be read before it is [ended](Scheduler::end_claim).
    ReadEndpoints(ClaimRequest),
}

impl Scheduler {
    /// The next claim, if there is room for what it may bring, which is then kept for it until it is
    /// [ended](Self::end_claim).
    pub(crate) fn claim_wanted(&mut self, now: Now) -> Option<ClaimRequest> {
        // Others find room, too: other claims, and senders whose deliveries go straight through.
        let limit = self.left_to_lease().div_ceil(2).min(BATCH);
        let each = self.settings.max_in_flight_per_endpoint;
        // Several claims together bring of no lane more than a quick one may have.
        let per_endpoint = (MAX_DEPTH * each).saturating_sub(self.claims.per_endpoint());
        let per_endpoint = per_endpoint.min(DEPTH * each);
        let listed = self.listed(now);
        let asks_for_some = per_endpoint > 0 || listed.iter().any(|(_, room)| *room > 0);
        if limit == 0 || !asks_for_some || !self.holds_leases(now.moment) {
            self.left_some = true;
            return None;
        }
        self.left_some = false;
        let room = listed.iter().filter_map(|(id, deliveries)| {
            Some(ClaimRoom {
                endpoint_id: self.lanes.get(*id)?.endpoint_id.clone(),
                deliveries: *deliveries,
            })
        });
        Some(ClaimRequest {
            limit,
            per_endpoint,
            room: room.collect(),
            poison_suspects: usize::from(self.poison_suspect.ask()),
            id: self.claims.begin(limit, per_endpoint, listed),
            lease_epoch: self.lease_window.epoch(),
            is_more: false,
            unknown: Vec::new(),
        })
    }

    /// A claim has brought these.
    pub(crate) fn claimed(
        &mut self,
        now: Now,
        mut claim: ClaimRequest,
        mut deliveries: Vec<WebhookDelivery>,
    ) -> AfterClaim {
        // A lease that was given back as lost meanwhile is not taken.
        deliveries.retain(|delivery| self.leases.arrives(delivery));
        if claim.poison_suspects > 0 {
            self.poison_suspect.brought(&deliveries);
        }
        if !self.still_holds(claim.lease_epoch) {
            // Perhaps claimed before the leases were lost; or nothing may start any more.
            claim.is_more = true;
            self.send_back(deliveries, now.at);
            return self.end_claim(now, claim);
        }
        claim.is_more = deliveries.len() >= claim.limit;
        if !claim.is_more {
            let is_left_out = |lane| self.claims.leaves_out(claim.id, lane);
            self.held.end_backlogs(is_left_out, &mut self.lanes);
        }
        self.left_some |= claim.is_more
            || claim.poison_suspects == 0
            || claim.per_endpoint == 0
            || self.claims.leaves_some_out(claim.id);
        let is_full = claim.is_more;
        for (endpoint_id, deliveries) in by_endpoint(deliveries) {
            self.take(now, &mut claim, is_full, endpoint_id, deliveries);
        }
        if claim.unknown.is_empty() {
            return self.end_claim(now, claim);
        }
        self.start_what_can(now);
        AfterClaim::ReadEndpoints(claim)
    }

    /// A claim is over: what is still unknown goes back.
    pub(crate) fn end_claim(&mut self, now: Now, mut claim: ClaimRequest) -> AfterClaim {
        let is_full = claim.is_more;
        for (endpoint_id, deliveries) in std::mem::take(&mut claim.unknown) {
            self.take(now, &mut claim, is_full, endpoint_id, deliveries);
        }
        for (_, deliveries) in std::mem::take(&mut claim.unknown) {
            // Due at once it would come out again at once, until this process knows too.
            self.send_back(deliveries, now.at.after(UNKNOWN_PAUSE));
        }
        self.claims.end(claim.id);
        self.start_what_can(now);
        match claim.is_more {
            true => AfterClaim::Again,
            false => AfterClaim::Rest,
        }
    }

    /// A claim has failed, and perhaps only its answer was lost.
    pub(crate) fn claim_failed(&mut self, claim: &ClaimRequest) {
        if claim.poison_suspects > 0 {
            self.poison_suspect.brought(&[]);
        }
        self.claims.end(claim.id);
    }

    /// Requests that may be leased in all, more than are now or claims may bring.
    pub(super) fn left_to_lease(&self) -> usize {
        let leased = self.held.len() + self.claims.limit();
        self.settings.max_leased().saturating_sub(leased)
    }

    /// The lanes of which a claim is to bring another number than of any lane, with that number, in
    /// the order of their ids.
    fn listed(&self, now: Now) -> Vec<(LaneId, usize)> {
        let mut ids: Vec<_> = self.held.lanes().collect();
        let held = ids.len();
        ids.extend(self.claims.listed().chain(self.turns.stalled()));
        if ids.len() > held {
            ids.sort_unstable();
            ids.dedup();
        }
        let lanes = ids.into_iter().filter_map(|id| self.lanes.get(id));
        lanes
            .map(|lane| (lane.id, self.room_of(lane, now)))
            .collect()
    }

    /// How many more deliveries of the lane can be claimed.
    fn room_of(&self, lane: &Lane, now: Now) -> usize {
        if lane.queued.stalled || !lane.is_open(now.at) || self.slots.stalls(lane, now.moment) {
            return 0;
        }
        let leased = lane.counted.leased + self.claims.may_bring(lane);
        let most = lane.most_leased(self.settings.max_in_flight_per_endpoint);
        let room = most.saturating_sub(leased);
        // Whole requests: a part of a batch would go as a batch of its own.
        room - room % lane.per_request()
    }

    /// Takes what was claimed of an endpoint into its lane. What is of an unknown one is kept aside.
    fn take(
        &mut self,
        now: Now,
        claim: &mut ClaimRequest,
        is_full: bool,
        endpoint_id: Arc<str>,
        mut deliveries: Vec<WebhookDelivery>,
    ) {
        let newest = deliveries.iter().map(|d| d.incarnation).max();
        let lane = self.lane_of(&endpoint_id);
        let lane = lane.filter(|lane| Some(lane.incarnation) >= newest && lane.is_open(now.at));
        let Some((id, incarnation)) = lane.map(|lane| (lane.id, lane.incarnation)) else {
            claim.unknown.push((endpoint_id, deliveries));
            return;
        };
        let brought = deliveries.len();
        // The storage cancels what is of an earlier one, once it is back.
        let of_others = deliveries.extract_if(.., |d| d.incarnation != incarnation);
        let of_others: Vec<_> = of_others.collect();
        self.send_back(of_others, now.at.after(UNKNOWN_PAUSE));
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let is_more = is_full || brought >= self.claims.asked(claim.id, lane);
        if is_more {
            self.held.mark_backlog(lane);
        }
        let before = self.held.len();
        if self.held.put_in(lane, deliveries.len()) {
            self.out.watch();
        }
        let requests = self.held.len() - before;
        self.claims.brought(claim.id, id, requests);
        let still_holds = self.lease_window.epoch() == claim.lease_epoch && !self.is_stopping;
        for delivery in deliveries {
            let settle_as = if !lane.takes(&delivery) {
                let reason = CancelReason::TypeNotTaken;
                SettleAs::Cancelled { reason }
            } else if !still_holds {
                SettleAs::Release { at: now.at }
            } else {
                lane.waiting.push(delivery);
                continue;
            };
            self.out.settle(Some(id), delivery, settle_as, None);
        }
        self.turns.push(lane);
        if is_more && let Some(lane) = self.lanes.get(id) {
            claim.is_more |= self.room_of(lane, now) > 0;
        }
    }

    /// The lane of an endpoint that is not deleted.
    pub(super) fn lane_of(&self, endpoint_id: &str) -> Option<&Lane> {
        let id = self.directory.get(endpoint_id)?;
        self.lanes.get(id)
    }
}

/// Deliveries of one endpoint each, in the order in which they came: the storage gives endpoints their
/// turns, and another order would always prefer the same ones.
fn by_endpoint(deliveries: Vec<WebhookDelivery>) -> Vec<(Arc<str>, Vec<WebhookDelivery>)> {
    let mut groups: Vec<(Arc<str>, Vec<WebhookDelivery>)> = Vec::new();
    let mut places = HashMap::new();
    for delivery in deliveries {
        let next = groups.len();
        let place = *places.entry(delivery.endpoint_id.clone()).or_insert(next);
        match groups.get_mut(place) {
            Some((_, group)) => group.push(delivery),
            None => groups.push((delivery.endpoint_id.clone(), vec![delivery])),
        }
    }
    groups
}

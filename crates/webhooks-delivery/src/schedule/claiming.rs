//! There is room for a claim, and it brings deliveries.
//!
//! A claim counts as leased, with all that it may bring, from
//! [`claim_wanted`](Scheduler::claim_wanted) until [`end_claim`](Scheduler::end_claim) or
//! [`claim_failed`](Scheduler::claim_failed). So several claimers at a time lease no more than this
//! process may hold (but for the last batch of each claim, which may come whole), and each lane is
//! filled up to what it may have.
//!
//! What a claim brings is either taken into a lane or given back: nothing of it is dropped, since
//! only this process can release it while it beats.

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
/// A larger one would hold the storage longer, and bring one claimer what others could share.
const BATCH: usize = 512;
/// How long a delivery goes back for, of an endpoint that this process does not know yet, or knows
/// as closed though the storage let the delivery out.
/// A beat tells of changed endpoints every 800 ms, so that by then this process knows the endpoint
/// as the storage does. Without the pause the same delivery would go back and forth in a loop.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

/// What is to be claimed.
#[derive(Debug)]
pub(crate) struct ClaimRequest {
    /// Deliveries at most.
    /// As requests: of an endpoint that batches, the storage may bring a whole batch over it.
    pub(crate) limit: usize,
    /// Deliveries of each endpoint that `room` does not name.
    pub(crate) per_endpoint: usize,
    /// Lanes of which this process holds something, or wants nothing; `0` leaves one out.
    pub(crate) room: Vec<ClaimRoom>,
    /// Poison suspects at most.
    pub(crate) poison_suspects: usize,
    /// What the claim was counted as; ended exactly once.
    id: ClaimId,
    /// The leases under which it was asked for. If they are lost before the answer comes, what it
    /// brings may be leased to nobody any more, and nothing of it starts.
    lease_epoch: u64,
    /// There is likely more, and room for it.
    is_more: bool,
    /// What it brought of endpoints that are not known, or known as closed, or known not to take it.
    unknown: Vec<(Arc<str>, Vec<WebhookDelivery>)>,
    /// Endpoints were read since it brought that: they are known as the storage had them then.
    has_read: bool,
}

/// What follows on what a claim has brought.
#[derive(Debug)]
pub(crate) enum AfterClaim {
    /// There is likely more, and room for it.
    Again,
    /// That was all, for now.
    Rest,
    /// It brought something of endpoints that another process has perhaps just registered, opened, given
    /// other filters or deleted: endpoints are to be read before it is [ended](Scheduler::end_claim).
    ReadEndpoints(ClaimRequest),
}

#[cfg(test)]
impl ClaimRequest {
    /// What it brought of endpoints that are not known.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = super::view::Leased> {
        let deliveries = self.unknown.iter().flat_map(|(_, deliveries)| deliveries);
        deliveries.map(super::view::Leased::of)
    }
}

impl Scheduler {
    /// The next claim, if there is room for what it may bring, which is then kept for it until it is
    /// [ended](Self::end_claim).
    pub(crate) fn claim_wanted(&mut self, now: Now) -> Option<ClaimRequest> {
        // Others find room, too: other claims, and senders whose deliveries go straight through.
        // Half of what is left, so that the last places are halved and halved again, and a second
        // claimer still has some.
        let limit = self.left_to_lease().div_ceil(2).min(BATCH);
        let each = self.settings.max_in_flight_per_endpoint;
        // Several claims together bring of no lane more than a quick one may have.
        let per_endpoint = (MAX_DEPTH * each).saturating_sub(self.claims.per_endpoint());
        let per_endpoint = per_endpoint.min(DEPTH * each);
        let listed = self.listed(now);
        let asks_for_some = per_endpoint > 0 || listed.iter().any(|(_, room)| *room > 0);
        // Remembered, so that the next settlement wakes a claimer: nobody else may.
        if limit == 0 || !asks_for_some || !self.holds_leases(now.moment) {
            self.left_some = true;
            return None;
        }
        self.left_some = false;
        let leaves_some_out = self.pass_over(now, &listed);
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
            // Asked for by one claim at a time: two answers could each bring one, and a death would
            // then not say which of the two was guilty.
            poison_suspects: usize::from(self.poison_suspect.ask()),
            id: self
                .claims
                .begin(limit, per_endpoint, listed, leaves_some_out),
            lease_epoch: self.lease_window.epoch(),
            is_more: false,
            unknown: Vec::new(),
            has_read: false,
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
        // First of all, so that nothing below can put a delivery into a lane that `LostLeases` has
        // released: it would be sent here and by whoever claims it next.
        deliveries.retain(|delivery| self.leases.arrives(delivery));
        if claim.poison_suspects > 0 {
            self.poison_suspect.brought(&deliveries);
        }
        if !self.still_holds(claim.lease_epoch) {
            // Perhaps claimed before the leases were lost; or nothing may start any more.
            claim.is_more = true;
            // If the leases were really lost, the storage answers `Stale` and nothing changes; if
            // not, this gives them back at once.
            self.send_back(deliveries, now.at);
            return self.end_claim(now, claim, false);
        }
        claim.is_more = deliveries.len() >= claim.limit;
        if !claim.is_more {
            let is_left_out = |lane| self.claims.leaves_out(claim.id, lane);
            // An answer that is not full shows that the storage has no more of the lanes that were
            // asked about. Senders may go straight through there again.
            self.held.end_backlogs(is_left_out, &mut self.lanes);
        }
        // What was not asked for may be there all the same.
        self.left_some |= claim.is_more
            || claim.poison_suspects == 0
            || claim.per_endpoint == 0
            || self.claims.leaves_some_out(claim.id);
        // Taken before the loop: `take` sets `is_more` for one lane, which says nothing of the
        // others.
        let is_full = claim.is_more;
        let mut groups = by_endpoint(deliveries);
        // Those that have waited longest for a start come first: where there are few slots for many
        // endpoints, as for unproven ones, the same would have them again and again.
        groups.sort_by_cached_key(|(id, _)| self.lane_of(id).map_or(0, |lane| lane.last_start));
        for (endpoint_id, deliveries) in groups {
            self.take(now, &mut claim, is_full, endpoint_id, deliveries);
        }
        if claim.unknown.is_empty() {
            return self.end_claim(now, claim, false);
        }
        // Known endpoints do not wait for the read of the unknown ones.
        self.start_what_can(now);
        AfterClaim::ReadEndpoints(claim)
    }

    /// A claim is over, perhaps after endpoints were read: what is still unknown goes back.
    pub(crate) fn end_claim(
        &mut self,
        now: Now,
        mut claim: ClaimRequest,
        has_read: bool,
    ) -> AfterClaim {
        let is_full = claim.is_more;
        claim.has_read = has_read;
        // Once more, since the endpoints were read in between. What is still unknown is put aside
        // again.
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
    ///
    /// What the storage may have leased all the same is not known here: `LostLeases` asks for it.
    /// The place of the poison suspect is given up, or no suspect would ever be asked for again.
    pub(crate) fn claim_failed(&mut self, claim: &ClaimRequest) {
        if claim.poison_suspects > 0 {
            self.poison_suspect.brought(&[]);
        }
        self.claims.end(claim.id);
    }

    /// Requests that may be leased in all, more than are now or claims may bring.
    ///
    /// In requests, not deliveries: of an endpoint that batches,
    /// [`HeldLeases`](super::held_leases::HeldLeases) counts a batch as one.
    pub(super) fn left_to_lease(&self) -> usize {
        let leased = self.held.len() + self.claims.limit();
        self.settings.max_leased().saturating_sub(leased)
    }

    /// The lanes of which a claim is to bring another number than of any lane, with that number, in
    /// the order of their ids.
    fn listed(&self, now: Now) -> Vec<(LaneId, usize)> {
        let mut ids: Vec<_> = self.held.lanes().collect();
        let held = ids.len();
        // Also lanes that other claims on their way have listed: such a claim may bring them
        // something, though nothing of them is leased yet. And stalled ones, to leave them out.
        ids.extend(self.claims.listed().chain(self.turns.stalled()));
        if ids.len() > held {
            ids.sort_unstable();
            ids.dedup();
        }
        let lanes = ids.into_iter().filter_map(|id| self.lanes.get(id));
        lanes
            // The lane of an endpoint that is gone has its id in common with whoever has it now, and
            // would keep claims from that one.
            .filter(|lane| lane.left.is_none())
            .map(|lane| (lane.id, self.room_of(lane, now)))
            .collect()
    }

    /// Notes which lanes a claim asks nothing of since they are full. Whether it asks nothing of
    /// others, which any request that ends may let go on.
    ///
    /// A full lane waits for its own settlements alone: beside one that hangs, those of all others
    /// would else each cost a claim that finds nothing.
    fn pass_over(&mut self, now: Now, listed: &[(LaneId, usize)]) -> bool {
        let mut leaves_some_out = false;
        for (id, _) in listed.iter().filter(|(_, room)| *room == 0) {
            let lane = self.lanes.get(*id);
            let stalls = lane.is_some_and(|lane| self.slots.stalls(lane, now.moment).is_some());
            leaves_some_out |= stalls;
            if let Some(lane) = self.lanes.get_mut(*id) {
                lane.queued.passed_over = true;
            }
        }
        leaves_some_out
    }

    /// How many more deliveries of the lane can be claimed.
    fn room_of(&self, lane: &Lane, now: Now) -> usize {
        let stalls = || self.slots.stalls(lane, now.moment).is_some();
        if lane.queued.stalled.is_some() || !lane.is_open(now.at) || stalls() {
            return 0;
        }
        // With what is on its way, or each of several claims would fill the same room.
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
        deliveries: Vec<WebhookDelivery>,
    ) {
        // A delivery of a later incarnation shows that this process is behind: it must read
        // endpoints before it can tell whose delivery that is.
        let newest = deliveries.iter().map(|d| d.incarnation).max();
        let lane = self.lane_of(&endpoint_id);
        // A closed lane counts as unknown as well: the storage let the delivery out, so that it may
        // know of an end of the hold that was not read yet.
        let lane = lane.filter(|lane| Some(lane.incarnation) >= newest && lane.is_open(now.at));
        match lane.map(|lane| (lane.id, lane.incarnation)) {
            Some(lane) => self.take_in(now, claim, is_full, lane, deliveries),
            None => claim.unknown.push((endpoint_id, deliveries)),
        }
    }

    /// Takes what was claimed of an incarnation into its lane.
    fn take_in(
        &mut self,
        now: Now,
        claim: &mut ClaimRequest,
        is_full: bool,
        (id, incarnation): (LaneId, u64),
        mut deliveries: Vec<WebhookDelivery>,
    ) {
        let brought = deliveries.len();
        // The storage cancels what is of an earlier one, once it is back.
        let of_others = deliveries.extract_if(.., |d| d.incarnation != incarnation);
        let of_others: Vec<_> = of_others.collect();
        self.send_back(of_others, now.at.after(UNKNOWN_PAUSE));
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        // The sender may know filters of the endpoint that were not read here yet: to cancel by those
        // before them would lose the event.
        if !claim.has_read {
            let not_taken: Vec<_> = deliveries.extract_if(.., |d| !lane.takes(d)).collect();
            if !not_taken.is_empty() {
                claim.unknown.push((lane.endpoint_id.clone(), not_taken));
            }
        }
        // As much as was asked for, so that likely more waits: senders must not overtake that.
        let is_more = is_full || brought >= self.claims.asked(claim.id, lane);
        if is_more {
            self.held.mark_backlog(lane);
        }
        let before = self.held.len();
        if self.held.put_in(lane, deliveries.len()) {
            self.out.watch();
        }
        // Fewer than before, if its batches have become larger since they were counted.
        let requests = self.held.len().saturating_sub(before);
        // From here on the deliveries count as held, and must not count as on their way, too.
        self.claims.brought(claim.id, id, requests);
        let still_holds = self.lease_window.epoch() == claim.lease_epoch && !self.is_stopping;
        for delivery in deliveries {
            // A definition may have changed after the event was matched to the endpoint.
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
        // Another claim is worth it only where its deliveries would find room.
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

//! Room for claims, and for what is stored straight through; and who gets an event.

use std::collections::BTreeSet;

use webhooks_core::WebhookEvent;
use webhooks_core::storage::spi::Claimed;

use crate::schedule::{ClaimRequest, LaneView, Recipient};
use crate::simulation::claiming::Does;
use crate::simulation::model::LaneModel;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

impl World<'_> {
    /// Those who take an event, as this process knows them.
    pub(in crate::simulation) fn check_recipients(
        &mut self,
        n: usize,
        by_name: Option<&str>,
        event: &WebhookEvent,
        recipients: &[Recipient],
    ) {
        let model = &self.nodes[n].model;
        let is_for = |lane: &LaneModel| {
            let tenant = lane.record.endpoint.tenant.as_deref();
            match by_name {
                Some(id) => lane.record.endpoint.id == id,
                None => {
                    lane.takes(&event.event_type, false)
                        && (tenant.is_none() || tenant == event.tenant.as_deref())
                }
            }
        };
        let there = model.current.iter();
        let there = there.map(|(id, incarnation)| (id.clone(), *incarnation));
        let takes = |key: &(_, _)| {
            let lane = model.lane(key);
            lane.record.takes_events() && is_for(lane)
        };
        let should: BTreeSet<_> = there.filter(takes).collect();
        let is: BTreeSet<_> = recipients
            .iter()
            .map(|r| (r.endpoint_id.clone(), r.incarnation))
            .collect();
        if is != should || is.len() != recipients.len() {
            fail(
                "an event goes to who takes it",
                format!("{is:?}, but it should be {should:?}"),
            );
        }
    }

    /// A delivery got a place: it may go straight through.
    pub(in crate::simulation) fn check_place(&mut self, n: usize, recipient: &Recipient) {
        let now = self.now(n);
        let settings = &self.plan.settings;
        let (held, _) = self.scheduler(n).leased_requests();
        let views = self.scheduler(n).views(now);
        let is_it = |view: &&LaneView| {
            view.endpoint_id == recipient.endpoint_id && view.incarnation == recipient.incarnation
        };
        let view = views.iter().find(is_it).unwrap();
        let model = &self.nodes[n].model;
        let lane = model.of(&recipient.endpoint_id).unwrap();
        let problem = |text: String| fail("only what can go goes straight through", text);
        let text = || format!("{}: {} leased", recipient.endpoint_id, view.leased);
        if let Some(why) = lane.closed(now.at) {
            problem(format!("{}: {why}", recipient.endpoint_id));
        }
        let is_limited = lane.record.endpoint.batch.is_some() || lane.max_leased.is_some();
        if is_limited || view.is_backlogged || self.us >= model.window_ends {
            problem(text());
        }
        let (all, of_lane) = self.asked(n, &recipient.endpoint_id, 1);
        let leased = view.leased;
        let each = settings.max_in_flight_per_endpoint;
        let most = lane.most_leased(each);
        // A claim that began before this incarnation was read has asked for one before it.
        let is_young = self.us < lane.born + 70_000_000 && lane.born > 5_000_000;
        let of_lane = if is_young { 0 } else { of_lane };
        if leased > most - 1 || leased > lane.window.saturating_mul(2) {
            problem(text());
        }
        if leased + of_lane > 8 * each {
            problem(format!("{}: {leased} and {of_lane}", recipient.endpoint_id));
        }
        if held + all > 7 * settings.max_in_flight {
            problem(format!("{held} and {all} leave nothing to claims"));
        }
        let key = (recipient.endpoint_id.clone(), recipient.incarnation);
        let running = || {
            let views = views.iter().filter(|v| {
                model
                    .lanes
                    .contains_key(&(v.endpoint_id.clone(), v.incarnation))
            });
            views.map(|v| {
                (
                    (v.endpoint_id.clone(), v.incarnation),
                    v.reserved + v.running.len(),
                )
            })
        };
        let is_late = self.us < self.nodes[n].resumed + 600_000;
        if !is_late && model.is_unproven(&key, self.us, 0) {
            let unproven = |k: &(std::sync::Arc<str>, u64)| model.is_unproven(k, self.us, 260_000);
            let count: usize = running().filter(|(k, _)| unproven(k)).map(|(_, c)| c).sum();
            // With its own.
            if count > settings.max_in_flight.div_ceil(2) {
                problem(format!("{}: {count} unproven", recipient.endpoint_id));
            }
        }
    }

    /// Whether a delivery to this recipient surely can have a place.
    pub(in crate::simulation) fn is_fit_for_place(&self, n: usize, recipient: &Recipient) -> bool {
        let now = self.now(n);
        let settings = &self.plan.settings;
        let (held, _) = self.scheduler(n).leased_requests();
        let views = self.scheduler(n).views(now);
        let is_it = |view: &&LaneView| {
            view.endpoint_id == recipient.endpoint_id && view.incarnation == recipient.incarnation
        };
        let Some(view) = views.iter().find(is_it) else {
            return false;
        };
        let model = &self.nodes[n].model;
        let Some(lane) = model.of(&recipient.endpoint_id) else {
            return false;
        };
        let (all, of_lane) = self.asked_at_most(n, &recipient.endpoint_id, lane.per_request());
        let leased = view.leased;
        let each = settings.max_in_flight_per_endpoint;
        let most = lane.most_leased(each);
        let key = (recipient.endpoint_id.clone(), recipient.incarnation);
        lane.closed(now.at).is_none()
            && lane.disabled.is_none()
            && lane.record.endpoint.batch.is_none()
            && lane.max_leased.is_none()
            && !view.is_backlogged
            && self.us < model.window_ends
            && self.nodes[n].leaving.is_none()
            && leased + 1 < most
            && leased + of_lane < 8 * each
            && leased < lane.window.saturating_mul(2)
            && held + all < 7 * settings.max_in_flight
            && !self.stalls(n, &key, &views)
            && self.us > self.nodes[n].resumed.max(lane.changed) + 600_000
    }

    /// There is no claim: there is no room for one.
    pub(in crate::simulation) fn check_no_claim(&self, n: usize) {
        let (node, settings) = (&self.nodes[n], &self.plan.settings);
        let (held, _) = self.scheduler(n).leased_requests();
        let (all, of_each) = self.asked_at_most(n, "", 1);
        let has_room = held + all < 8 * settings.max_in_flight
            && of_each < 2 * settings.max_in_flight_per_endpoint
            && self.us < node.model.window_ends
            && node.leaving.is_none();
        if has_room {
            fail(
                "where there is room there is a claim",
                format!("{held} and {all}"),
            );
        }
    }

    /// What claims on their way may bring: in all, and of one endpoint.
    fn asked(&self, n: usize, endpoint_id: &str, per_request: usize) -> (usize, usize) {
        let asks = |does: &Does| matches!(does, Does::Asks(_));
        self.asked_by(n, asks, endpoint_id, per_request)
    }

    /// The same, with those that still wait for endpoints to be read.
    fn asked_at_most(&self, n: usize, endpoint_id: &str, per_request: usize) -> (usize, usize) {
        self.asked_by(n, |_| true, endpoint_id, per_request)
    }

    fn asked_by(
        &self,
        n: usize,
        is_counted: impl Fn(&Does) -> bool,
        endpoint_id: &str,
        per_request: usize,
    ) -> (usize, usize) {
        let (mut all, mut of_lane) = (0, 0);
        for claimer in self.nodes[n]
            .claimers
            .iter()
            .filter(|c| is_counted(&c.does))
        {
            if let Does::Asks(claim) | Does::Reads(claim, _) = &claimer.does {
                let listed = claim
                    .room
                    .iter()
                    .find(|room| *room.endpoint_id == *endpoint_id);
                all += claim.limit;
                of_lane += listed.map_or(claim.per_endpoint * per_request, |room| room.deliveries);
            }
        }
        (all, of_lane)
    }

    /// There is room for what a claim may bring.
    pub(in crate::simulation) fn check_claim(&mut self, n: usize, claim: &ClaimRequest) {
        let settings = &self.plan.settings;
        let per_endpoint = settings.max_in_flight_per_endpoint;
        let (held, _) = self.scheduler(n).leased_requests();
        let (all, _) = self.asked(n, "", 1);
        let problem = |text: String| fail("a claim asks for what there is room for", text);
        let room = 8 * settings.max_in_flight;
        if claim.limit == 0 || held + all + claim.limit > room && !self.batches_vary {
            problem(format!("{held} and {all} and {} of {room}", claim.limit));
        }
        let node = &self.nodes[n];
        if self.us >= node.model.window_ends || node.leaving.is_some() {
            problem("without leases".into());
        }
        let (_, unlisted) = self.asked(n, "", 1);
        let too_many = claim.per_endpoint + unlisted > 8 * per_endpoint;
        if claim.per_endpoint > 2 * per_endpoint || too_many {
            problem(format!("{} and {unlisted} of each", claim.per_endpoint));
        }
        let suspects = node.claimers.iter().filter(|claimer| match &claimer.does {
            Does::Asks(other) => other.poison_suspects > 0,
            _ => false,
        });
        let is_taken = node.model.suspect.is_some() || suspects.count() > 0;
        if claim.poison_suspects > usize::from(!is_taken) {
            fail("a process holds one suspect", "a claim asks for another");
        }
        self.check_rooms(n, claim);
    }

    /// Of each lane, too.
    fn check_rooms(&mut self, n: usize, claim: &ClaimRequest) {
        let now = self.now(n);
        let problem = |text: String| fail("a claim asks for what there is room for", text);
        let per_endpoint = self.plan.settings.max_in_flight_per_endpoint;
        let node = &self.nodes[n];
        for view in self.scheduler(n).views(now) {
            let key = (view.endpoint_id.clone(), view.incarnation);
            let lane = node.model.lanes.get(&key);
            let Some(lane) = lane.filter(|lane| !lane.is_gone) else {
                continue;
            };
            let (_, others) = self.asked(n, &view.endpoint_id, lane.per_request());
            let listed = claim
                .room
                .iter()
                .rfind(|room| room.endpoint_id == view.endpoint_id);
            let asked = listed.map_or(claim.per_endpoint * lane.per_request(), |r| r.deliveries);
            let most = lane.most_leased(per_endpoint).max(view.leased + others);
            if view.leased + others + asked > most && listed.is_some() {
                let leased = view.leased;
                problem(format!(
                    "{}: {leased}, {others}, {asked} of {most}",
                    view.endpoint_id
                ));
            }
            if (view.leased > 0 || view.is_stalled) && listed.is_none() {
                problem(format!("{} is not listed", view.endpoint_id));
            }
            let is_closed = lane.closed(now.at).is_some() || view.is_stalled;
            if listed.is_some() && asked > 0 && is_closed {
                problem(format!("{} is closed or stalled", view.endpoint_id));
            }
            if asked % lane.per_request() > 0 {
                problem(format!("{}: {asked} is no whole batch", view.endpoint_id));
            }
        }
    }

    pub(in crate::simulation) fn check_claimed(
        &mut self,
        n: usize,
        claim: &ClaimRequest,
        claimed: &Claimed,
    ) {
        let model = &mut self.nodes[n].model;
        let is_ours = |d: &&webhooks_core::WebhookDelivery| {
            let token = d.lease.as_ref().unwrap().token;
            !model.given_back.contains(&(d.id, token))
        };
        let suspect = claimed
            .deliveries
            .iter()
            .filter(is_ours)
            .find(|d| d.is_poison_suspect());
        let suspect = suspect.map(|d| d.id);
        if let Some(suspect) = suspect {
            if claim.poison_suspects == 0 || model.suspect.is_some() {
                fail("a process holds one suspect", suspect);
            }
            model.suspect = Some(suspect);
        }
    }
}

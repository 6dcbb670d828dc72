//! Whether all get on.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::schedule::LaneView;
use crate::simulation::model::{Key, LaneModel};
use crate::simulation::plan::Class;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

/// In a calm world nothing that could start waits for so long, in microseconds.
const LONG: u64 = 350_000;

impl World<'_> {
    /// A look now and then.
    pub(in crate::simulation) fn look(&mut self) {
        self.check_ledger();
        self.check_open();
        if self.plan.class == Class::Calm {
            self.check_waits();
        }
    }

    /// What is decided is stored and read by then, and what is over is over: who is open is open.
    fn check_open(&self) {
        let faults = self.plan.faults;
        if faults.before + faults.answer_lost + faults.done_later + faults.slow + self.outages > 0 {
            return;
        }
        for (n, node) in self.nodes.iter().enumerate() {
            let now = self.now(n);
            let rests = node.recorder.is_idle() && node.scheduler.is_written();
            if !node.is_up || !rests || self.us < node.resumed || self.stepped > 0 {
                continue;
            }
            for view in node.scheduler.views(now) {
                let key = (view.endpoint_id.clone(), view.incarnation);
                let lane = node.model.lanes.get(&key);
                let is_open = |lane: &LaneModel| lane.closed(now.at).is_none();
                if !view.is_open && lane.is_some_and(is_open) {
                    fail("who is open is open", format!("n{n}: {}", view.endpoint_id));
                }
            }
        }
    }

    /// Nothing waits in the storage of an endpoint that could take it.
    fn check_waits(&mut self) {
        let at = self.true_time();
        let ready = self.ledger.rows.values();
        let heads = self.ledger.heads();
        let ready = ready.filter(|row| {
            let is_idle = !row.is_ended && row.lease.is_none();
            is_idle && row.not_before <= at && row.stands_first(&heads)
        });
        let ready: BTreeSet<_> = ready.map(|row| row.endpoint_id.clone()).collect();
        let nodes = 0..self.nodes.len();
        let could = |id: &&Arc<str>| nodes.clone().any(|n| self.could_take(n, id));
        let waits: BTreeSet<_> = ready.iter().filter(could).cloned().collect();
        self.waits.retain(|id, _| waits.contains(id));
        for id in waits {
            let since = *self.waits.entry(id.clone()).or_insert(self.us);
            // Stalled lanes are let go one after the other.
            let stalled = self.nodes.iter().enumerate().map(|(n, node)| {
                let views = node.scheduler.views(self.now(n));
                views.iter().filter(|view| view.is_stalled).count()
            });
            let stalled = u64::try_from(stalled.max().unwrap_or(0)).unwrap();
            if self.us - since > LONG * (1 + stalled) {
                fail(
                    "what could start is claimed",
                    format!("{id} waits since {since}"),
                );
            }
        }
    }

    /// Whether a node could start a request of an endpoint, if it had one.
    fn could_take(&self, n: usize, id: &Arc<str>) -> bool {
        let node = &self.nodes[n];
        let (model, settings) = (&node.model, &self.plan.settings);
        let Some(lane) = model.of(id) else {
            return false;
        };
        let now = self.now(n);
        let views = node.scheduler.views(now);
        let view = views
            .iter()
            .find(|view| view.endpoint_id == *id && !view.is_gone);
        let (held, _) = node.scheduler.leased_requests();
        let is_free = node.is_up
            && self.us < model.window_ends
            && model.running.len() < settings.max_in_flight
            && held < 7 * settings.max_in_flight
            && lane.closed(now.at).is_none()
            && view.is_some_and(|view| view.leased < settings.max_in_flight_per_endpoint);
        let key = (id.clone(), lane.record.incarnation);
        is_free && self.has_share(n, &key) && !self.stalls(n, &key, &views)
    }

    fn has_share(&self, n: usize, key: &Key) -> bool {
        let (model, settings) = (&self.nodes[n].model, &self.plan.settings);
        let tenant_of = |key: &Key| model.lane(key).record.endpoint.tenant.clone();
        let Some(tenant) = tenant_of(key) else {
            return true;
        };
        let running = model.running.values();
        let running = running
            .filter(|r| tenant_of(&r.key).as_ref() == Some(&tenant))
            .count();
        let half = settings.max_in_flight.div_ceil(2);
        running < settings.max_in_flight_per_tenant.unwrap_or(half)
    }

    /// Whether an endpoint may have to wait for others of its kind.
    pub(super) fn stalls(&self, n: usize, key: &Key, views: &[LaneView]) -> bool {
        let (model, settings) = (&self.nodes[n].model, &self.plan.settings);
        let timeout = settings.timeout.as_secs();
        let count = |is_so: &dyn Fn(&Key) -> bool| -> usize {
            let of_kind = views.iter().filter(|view| {
                let key = (view.endpoint_id.clone(), view.incarnation);
                model.lanes.contains_key(&key) && is_so(&key)
            });
            of_kind.map(|view| view.reserved + view.running.len()).sum()
        };
        let slow_for_long = |key: &Key| {
            // What was slow a tick ago may still be counted so.
            model.is_unproven(key, self.us, 0)
        };
        let unproven = model.is_unproven(key, self.us, 0)
            && count(&slow_for_long) >= settings.max_in_flight.div_ceil(2);
        let patient = model.is_patient(key, timeout)
            && count(&|key| model.is_patient(key, timeout)) >= settings.max_in_flight.div_ceil(4);
        unproven || patient
    }

    /// All is over.
    pub(in crate::simulation) fn end(&mut self) {
        self.check_ledger();
        let waits = self.ledger.rows.iter().find(|(_, row)| row.lease.is_some());
        if let Some((id, row)) = waits {
            fail("nothing is left leased", format!("{id}: {row:?}"));
        }
    }
}

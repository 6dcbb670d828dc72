//! Endpoints change.
//!
//! Changes come in the order of their revisions, each endpoint as it is after its last. An endpoint
//! that is deleted and registered anew between two reads shows as another incarnation, and its lane
//! is replaced, not changed.
//!
//! What a changed endpoint may not get any more goes back in the same step, so that no request
//! starts by a definition that is known to be out of date.

use std::sync::Arc;

use webhooks_core::storage::EndpointRecord;
use webhooks_core::storage::spi::{EndpointChanges, GateChange};
use webhooks_core::{Circuit, Timestamp};

use super::command::Command;
use super::lane::Lane;
use super::lane_id::LaneId;
use super::now::Now;
use super::scheduler::Scheduler;
use super::starting::forget_health;
use crate::metrics::AttemptMetrics;

impl Scheduler {
    /// These endpoints have changed, in the order in which they did.
    pub(crate) fn endpoints_changed(&mut self, now: Now, changes: EndpointChanges) {
        let has_changed = !changes.records.is_empty();
        for record in changes.records {
            self.endpoint_changed(now.at, Arc::new(record));
        }
        // After the records: who asks for the revision may rely on all that is up to it.
        self.directory.complete(changes.revision);
        if has_changed {
            self.start_what_can(now);
            self.out.claim();
        }
    }

    /// Takes a changed endpoint over. Another incarnation of it gets a lane of its own, so that
    /// nothing made for one can start at another.
    fn endpoint_changed(&mut self, now: Timestamp, record: Arc<EndpointRecord>) {
        if let Some(error) = &record.unreadable {
            let endpoint_id = &record.endpoint.id;
            tracing::error!(%endpoint_id, %error, "an endpoint cannot be read, what waits for it goes on waiting");
        }
        let known = self.directory.get(&record.endpoint.id);
        let known = known.and_then(|id| self.lanes.get(id));
        let known = known.map(|lane| (lane.id, lane.tenant, lane.incarnation));
        let Some((id, tenant, incarnation)) = known else {
            if !record.deleted {
                self.add_lane(record);
            }
            return;
        };
        if let Some(lane) = self.lanes.get(id) {
            // By its filters of before, which are needed to find it in the index.
            self.directory.remove(lane);
        }
        if !record.deleted && incarnation == record.incarnation {
            self.change_lane(now, id, record);
            if let Some(lane) = self.lanes.get(id) {
                self.directory.insert(lane);
            }
            return;
        }
        if let Some(tenant) = tenant {
            // The tenant of before. Its requests in flight go on counting until they end.
            self.tenants.leave(tenant);
        }
        match record.deleted {
            true => self.change_lane(now, id, record),
            false => {
                // First, so that what the lane of before has in flight counts against the new lane
                // from its first turn on.
                if let Some(retired) = self.lanes.get(id).map(Lane::retired_record) {
                    self.change_lane(now, id, retired);
                }
                self.add_lane(record);
            }
        }
    }

    fn add_lane(&mut self, record: Arc<EndpointRecord>) {
        let tenant = record.endpoint.tenant.as_deref();
        let tenant = tenant.map(|tenant| self.tenants.join(tenant));
        let id = self.lanes.insert(|id| Lane::new(id, record, tenant));
        if let Some(lane) = self.lanes.get(id) {
            self.directory.insert(lane);
        }
    }

    /// Gives a lane its changed record, and acts on it: what it has leased goes back if it may not go
    /// now.
    fn change_lane(&mut self, now: Timestamp, id: LaneId, record: Arc<EndpointRecord>) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let was = lane.record.endpoint.clone();
        // By the definition of before: that is where its requests go.
        if lane.set_record(record) {
            self.left_running.add(&was, lane.in_flight.len());
        }
        // Also where only the gate has changed; what is kept is quickly made again.
        self.out.push(Command::Forget(lane.endpoint_id.clone()));
        // In this step: between a reset and the next request nothing may be held by the circuit of
        // before.
        forget_health(lane, &*self.admission);
        if lane.health.take_recovered() {
            self.out.gate(lane.gate_change(GateChange::Recovered), None);
        }
        let is_open = lane.is_open(now);
        let not_taken = lane.take_not_taken();
        self.cancel_not_taken(id, not_taken);
        // Leased deliveries of a closed endpoint would fill room that others could use, for as long
        // as it is closed.
        if !is_open {
            self.give_back(id, now);
        }
        self.lanes.drop_if_done(id);
    }

    /// The revision up to which endpoints are known.
    pub(crate) const fn revision(&self) -> u64 {
        self.directory.revision()
    }

    /// One endpoint that is not deleted.
    pub(crate) fn endpoint(&self, id: &str) -> Option<Arc<EndpointRecord>> {
        self.lane_of(id).map(|lane| lane.record.clone())
    }

    /// All endpoints that are not deleted, in any order.
    pub(crate) fn all_endpoints(&self) -> Vec<Arc<EndpointRecord>> {
        let lanes = self.directory.lanes().filter_map(|id| self.lanes.get(id));
        lanes.map(|lane| lane.record.clone()).collect()
    }

    /// How many endpoints a tenant has.
    pub(crate) fn endpoints_of(&self, tenant: &str) -> usize {
        self.tenants.endpoints_of(tenant)
    }

    /// How attempts went at all endpoints.
    pub(crate) fn attempts(&self) -> AttemptMetrics {
        self.attempts.metrics()
    }

    /// How attempts went at one endpoint, its circuit, and its requests in flight.
    pub(crate) fn endpoint_attempts(
        &self,
        now: Now,
        id: &str,
    ) -> Option<(AttemptMetrics, Circuit, usize)> {
        let lane = self.lane_of(id)?;
        let circuit = self.admission.circuit(id, now.at);
        Some((lane.attempts.metrics(), circuit, lane.in_flight.len()))
    }
}

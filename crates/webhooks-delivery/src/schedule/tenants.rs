//! How many requests one tenant may have in flight, at whichever endpoints.
//!
//! A tenant is kept by name for as long as it has an endpoint or a request in flight. Lanes of a
//! tenant that has its share wait in a queue of their own, so that the queue of turns holds only
//! lanes that a free slot would help.

use std::collections::{HashMap, VecDeque};

use slab::Slab;

use super::lane_id::LaneId;

/// Names a tenant for as long as it has an endpoint or a request in flight.
/// A place in a slab, which another tenant may get later. A lane whose endpoint is gone starts
/// nothing, so that it uses the id only while a request of its own keeps the tenant.
pub(super) type TenantId = usize;

/// The tenants of endpoints, with what each has in flight. However many endpoints a tenant has, and
/// whatever they do, others have the rest of the slots.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    by_name: HashMap<String, TenantId>,
    tenants: Slab<Tenant>,
}

#[derive(Debug)]
struct Tenant {
    name: String,
    /// How many it has.
    endpoints: usize,
    in_flight: usize,
    /// Its lanes that wait for one of its requests to end.
    waiting: VecDeque<LaneId>,
}

impl Tenants {
    /// The tenant has one endpoint more.
    pub(super) fn join(&mut self, name: &str) -> TenantId {
        let known = self.by_name.get(name).copied();
        let id = known.unwrap_or_else(|| {
            let id = self.tenants.insert(Tenant {
                name: name.to_owned(),
                endpoints: 0,
                in_flight: 0,
                waiting: VecDeque::new(),
            });
            self.by_name.insert(name.to_owned(), id);
            id
        });
        if let Some(tenant) = self.tenants.get_mut(id) {
            tenant.endpoints += 1;
        }
        id
    }

    /// The tenant has one endpoint less.
    pub(super) fn leave(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(id) {
            tenant.endpoints -= 1;
            self.drop_if_gone(id);
        }
    }

    /// How many endpoints a tenant has.
    pub(super) fn endpoints_of(&self, name: &str) -> usize {
        let id = self.by_name.get(name);
        let tenant = id.and_then(|id| self.tenants.get(*id));
        tenant.map_or(0, |tenant| tenant.endpoints)
    }

    /// Whether the tenant may have another request in flight, of as many at most.
    pub(super) fn has_share(&self, id: TenantId, most: usize) -> bool {
        self.tenants.get(id).is_none_or(|t| t.in_flight < most)
    }

    /// A request of the tenant starts.
    pub(super) fn take(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(id) {
            tenant.in_flight += 1;
        }
    }

    /// A request of the tenant ended.
    pub(super) fn free(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(id) {
            tenant.in_flight -= 1;
            self.drop_if_gone(id);
        }
    }

    /// The lane that has waited longest for a request of the tenant to end; its flag is the caller's
    /// to clear.
    pub(super) fn next_waiting(&mut self, id: TenantId) -> Option<LaneId> {
        self.tenants.get_mut(id)?.waiting.pop_front()
    }

    /// Lets a lane wait until a request of the tenant ends.
    pub(super) fn wait(&mut self, id: TenantId, lane: LaneId) {
        if let Some(tenant) = self.tenants.get_mut(id) {
            tenant.waiting.push_back(lane);
        }
    }

    /// The tenants, each with its endpoints, its requests in flight and its lanes that wait.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (TenantId, usize, usize, &VecDeque<LaneId>)> {
        let all = self.tenants.iter();
        all.map(|(id, tenant)| (id, tenant.endpoints, tenant.in_flight, &tenant.waiting))
    }

    /// Forgets a tenant without endpoints, but not before its last request ends: who registers anew
    /// would have another share.
    fn drop_if_gone(&mut self, id: TenantId) {
        let is_gone = |tenant: &Tenant| tenant.endpoints == 0 && tenant.in_flight == 0;
        if self.tenants.get(id).is_some_and(is_gone) {
            let tenant = self.tenants.remove(id);
            self.by_name.remove(&tenant.name);
        }
    }
}

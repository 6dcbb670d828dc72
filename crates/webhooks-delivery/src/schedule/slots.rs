//! How many requests may be in flight.

use std::time::{Duration, Instant};

use super::kind::Kind;
use super::lane::Lane;
use super::tenants::{TenantId, Tenants};
use crate::settings::Settings;

/// The requests in flight of this process. Those at unproven endpoints, which may hold them for
/// long, get at most half of the slots together; those at endpoints with a longer timeout than the
/// system's, which may hold them for longer still, a quarter; and so does no tenant get all of them.
///
/// The rule about unproven endpoints is about starting: lanes that were well when they started and
/// then all hang can hold more than half until they time out.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    /// However many endpoints the tenant has.
    most_per_tenant: usize,
    /// The system's timeout.
    timeout: Duration,
    /// Requests in flight.
    taken: usize,
    /// Those of them at unproven endpoints, and what is on its way into the storage for these.
    unproven: usize,
    /// The same of endpoints with a longer timeout than the system's.
    patient: usize,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// None is free.
    /// The lane keeps its turn, first in the queue: the next end of any request gives it the slot.
    All,
    /// The lane's tenant has its share. The lane waits until one of the tenant's requests ends.
    Tenant,
}

impl Slots {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            most: settings.max_in_flight,
            most_per_tenant: settings.max_in_flight_per_tenant(),
            timeout: settings.timeout,
            taken: 0,
            unproven: 0,
            patient: 0,
        }
    }

    /// Takes a slot for a request of this lane, if one is free.
    pub(super) fn take(&mut self, lane: &mut Lane, tenants: &mut Tenants) -> Result<(), Full> {
        if self.taken >= self.most {
            return Err(Full::All);
        }
        if let Some(tenant) = lane.tenant {
            // Before the slot is taken, and with no turn kept: a lane that waits for its tenant
            // must not stand in the way of other tenants' lanes.
            if !self.has_share(tenant, tenants) {
                if !std::mem::replace(&mut lane.queued.for_share, true) {
                    tenants.wait(tenant, lane.id);
                }
                return Err(Full::Tenant);
            }
            tenants.take(tenant);
        }
        self.taken += 1;
        Ok(())
    }

    /// Gives a slot of this lane back.
    pub(super) fn free(&mut self, lane: &Lane, tenants: &mut Tenants) {
        self.taken -= 1;
        if let Some(tenant) = lane.tenant {
            tenants.free(tenant);
        }
    }

    /// Requests in flight.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// Requests in flight at unproven endpoints and at those with a longer timeout, as counted.
    #[cfg(test)]
    pub(super) const fn counted(&self) -> (usize, usize) {
        (self.unproven, self.patient)
    }

    /// Whether the tenant may have another request in flight.
    pub(super) fn has_share(&self, tenant: TenantId, tenants: &Tenants) -> bool {
        tenants.has_share(tenant, self.most_per_tenant)
    }

    /// The kind of which the lane is, and of which requests at other endpoints must end first, if so.
    pub(super) fn stalls(&self, lane: &Lane, now: Instant) -> Option<Kind> {
        let stalls = |kind: &Kind| self.left_for(*kind) == 0 && self.is_of(*kind, lane, now);
        Kind::BOTH.into_iter().find(stalls)
    }

    /// Whether the lane is of this kind.
    pub(super) fn is_of(&self, kind: Kind, lane: &Lane, now: Instant) -> bool {
        match kind {
            Kind::Unproven => lane.is_unproven(now),
            Kind::Patient => lane.is_patient(self.timeout),
        }
    }

    /// Requests that endpoints of this kind may start now. Those with a longer timeout leave as many
    /// again for unproven ones of which nobody knows more than that nothing was sent to them lately.
    pub(super) const fn left_for(&self, kind: Kind) -> usize {
        match kind {
            Kind::Unproven => self.most.div_ceil(2).saturating_sub(self.unproven),
            Kind::Patient => self.most.div_ceil(4).saturating_sub(self.patient),
        }
    }

    /// Counts what a lane has in flight anew, after that or its kind has changed; whether endpoints
    /// of its kind have less now, so that others may start.
    pub(super) fn recount(&mut self, lane: &mut Lane, now: Instant) -> bool {
        // What was counted for the lane before is replaced, so that a lane that changes its kind
        // with requests in flight takes all of them along.
        let requests = lane.in_flight.len() + lane.counted.reserved;
        let count = |is_so| if is_so { requests } else { 0 };
        let unproven = count(self.is_of(Kind::Unproven, lane, now));
        let patient = count(self.is_of(Kind::Patient, lane, now));
        let fewer_unproven = replace(&mut self.unproven, &mut lane.counted.unproven, unproven);
        let fewer_patient = replace(&mut self.patient, &mut lane.counted.patient, patient);
        fewer_unproven || fewer_patient
    }
}

/// Counts what a lane has of all anew; whether it has less now.
const fn replace(all: &mut usize, counted: &mut usize, now: usize) -> bool {
    let before = std::mem::replace(counted, now);
    *all = *all - before + now;
    now < before
}

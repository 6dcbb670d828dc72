//! How many requests may be in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::lane::{Lane, LaneState};
use crate::settings::Settings;

/// The requests in flight of this process. Those at unproven endpoints, which may hold them for
/// long, get at most half of the slots together; those at endpoints with a longer timeout than the
/// system's, which may hold them for longer still, a quarter; and so does no tenant get all of them.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    most_per_tenant: usize,
    /// The system's timeout.
    timeout: Duration,
    /// Requests in flight or about to be.
    taken: AtomicUsize,
    /// Those of them at unproven endpoints.
    unproven: AtomicUsize,
    /// Those of them at endpoints with a longer timeout than the system's.
    patient: AtomicUsize,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// None is free.
    All,
    /// The lane's tenant has its share. The lane waits until one of the tenant's requests ends.
    Tenant,
}

impl Slots {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            most: settings.max_in_flight,
            most_per_tenant: settings.max_in_flight_per_tenant(),
            timeout: settings.timeout,
            taken: AtomicUsize::new(0),
            unproven: AtomicUsize::new(0),
            patient: AtomicUsize::new(0),
        }
    }

    /// Takes a slot for a request of this lane, if one is free.
    pub(crate) fn take(&self, lane: &Arc<Lane>) -> Result<(), Full> {
        let share = lane.tenant_share.as_ref();
        if share.is_some_and(|share| !share.take(lane, &lane.awaits_share, self.most_per_tenant)) {
            return Err(Full::Tenant);
        }
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        let order = Ordering::SeqCst;
        let taken = self.taken.fetch_update(order, order, one_more);
        if let (Err(_), Some(share)) = (taken, share) {
            share.leave_unused();
        }
        taken.map(drop).map_err(|_| Full::All)
    }

    /// Gives a slot of this lane back; a lane that has waited for it.
    pub(crate) fn free(&self, lane: &Lane) -> Option<Arc<Lane>> {
        self.taken.fetch_sub(1, Ordering::SeqCst);
        let next = lane.tenant_share.as_ref()?.free()?;
        next.awaits_share.store(false, Ordering::SeqCst);
        Some(next)
    }

    /// Requests in flight or about to be.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Whether none is free.
    pub(crate) fn is_full(&self) -> bool {
        self.taken() >= self.most
    }

    /// Whether the lane must wait until requests at other endpoints of its kind end.
    pub(crate) fn stalls(&self, state: &LaneState, moment: Instant) -> bool {
        let unproven = self.left_for_unproven() == 0 && state.is_unproven(moment);
        unproven || (self.left_for_patient() == 0 && state.is_patient(self.timeout))
    }

    /// Requests that unproven endpoints may start now.
    pub(crate) fn left_for_unproven(&self) -> usize {
        let most = self.most.div_ceil(2);
        most.saturating_sub(self.unproven.load(Ordering::Relaxed))
    }

    /// Requests that endpoints with a longer timeout may start now. They leave as many again for
    /// unproven ones of which nobody knows more than that nothing was sent to them lately.
    fn left_for_patient(&self) -> usize {
        let most = self.most.div_ceil(4);
        most.saturating_sub(self.patient.load(Ordering::Relaxed))
    }

    /// Counts what a lane has in flight anew; whether endpoints of its kind have less now.
    pub(crate) fn recount(&self, state: &mut LaneState, moment: Instant) -> bool {
        let requests = state.in_flight() + state.reserved;
        let unproven = if state.is_unproven(moment) {
            requests
        } else {
            0
        };
        let patient = if state.is_patient(self.timeout) {
            requests
        } else {
            0
        };
        let fewer_unproven = replace(&self.unproven, &mut state.unproven, unproven);
        let fewer_patient = replace(&self.patient, &mut state.patient, patient);
        fewer_unproven || fewer_patient
    }
}

/// Counts what a lane has of all anew; whether it has less now.
fn replace(all: &AtomicUsize, counted: &mut usize, now: usize) -> bool {
    let before = std::mem::replace(counted, now);
    match now.checked_sub(before) {
        Some(more) => all.fetch_add(more, Ordering::Relaxed),
        None => all.fetch_sub(before - now, Ordering::Relaxed),
    };
    now < before
}

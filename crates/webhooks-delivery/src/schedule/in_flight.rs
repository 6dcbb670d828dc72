//! The requests of one lane.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use webhooks_core::storage::EndpointRecord;
use webhooks_core::{Permit, Timestamp};

use super::carried::Carried;

/// A request that has run this long shows that the endpoint is slow.
/// Well above what a healthy endpoint takes, and well below the usual timeout of 30 s: slots that
/// hang must show while most of the others are still free.
const SLOW: Duration = Duration::from_secs(1);

/// The requests of one lane, the oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Numbers grow from front to back, so that one is found by binary search.
    running: VecDeque<Running>,
    started: u64,
}

/// One request in flight. What it carries stays here, so that it is settled whatever becomes of who
/// makes it.
#[derive(Debug)]
pub(super) struct Running {
    /// In the order of their start.
    pub(super) number: u64,
    pub(super) started: Instant,
    pub(super) started_at: Timestamp,
    /// The endpoint as it was then.
    pub(super) record: Arc<EndpointRecord>,
    pub(super) carried: Carried,
    /// Dropped without a verdict it gives back what admission counted, so that no probe leaks.
    pub(super) permit: Box<dyn Permit>,
    /// The leases under which it started.
    pub(super) lease_epoch: u64,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// The number for a request that starts now.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    /// Adds the request that starts now.
    pub(super) fn push(&mut self, running: Running) {
        self.running.push_back(running);
    }

    /// Takes a request out, unless it was cut off.
    pub(super) fn remove(&mut self, number: u64) -> Option<Running> {
        let place = self.running.binary_search_by_key(&number, |r| r.number);
        place.ok().and_then(|place| self.running.remove(place))
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> VecDeque<Running> {
        std::mem::take(&mut self.running)
    }

    /// All, the oldest first.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Running> {
        self.running.iter()
    }

    /// Whether the oldest runs for so long that the endpoint may turn out to hang.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        let oldest = self.running.front();
        oldest.is_some_and(|r| now.saturating_duration_since(r.started) > SLOW)
    }
}

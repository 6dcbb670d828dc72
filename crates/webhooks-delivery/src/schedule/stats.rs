//! What has happened at each endpoint since the storage was told.

use std::sync::Arc;

use webhooks_core::storage::StatNumbers;
use webhooks_core::storage::spi::StatDelta;
use webhooks_core::{DeliveryResult, Timestamp};

use super::lane_id::LaneId;
use super::scheduler::Scheduler;
use crate::metrics::AttemptCounter;

impl Scheduler {
    /// An attempt at an endpoint ended, that was number so many of its delivery.
    pub(super) fn count_attempt(&mut self, id: LaneId, number: u32, result: &DeliveryResult) {
        self.count(id, |counter| counter.count(number, result));
    }

    /// Deliveries to an endpoint were stored.
    pub(super) fn count_sent(&mut self, endpoint_id: &str, deliveries: u64) {
        if let Some(id) = self.directory.get(endpoint_id) {
            self.count(id, |counter| counter.numbers_mut().sent += deliveries);
        }
    }

    /// A delivery to an endpoint was given up.
    pub(super) fn count_dead(&mut self, id: LaneId) {
        self.count(id, |counter| counter.numbers_mut().dead += 1);
    }

    /// What has happened since the last call, at this time or shortly before.
    pub(crate) fn take_stats(&mut self, at: Timestamp) -> Vec<StatDelta> {
        let untold = std::mem::take(&mut self.untold);
        let lanes = untold.into_iter().filter_map(|id| {
            let lane = self.lanes.get_mut(id)?;
            let numbers: StatNumbers = lane.attempts.take_untold();
            Some(StatDelta {
                endpoint_id: Arc::clone(&lane.endpoint_id),
                at,
                numbers,
            })
        });
        lanes.collect()
    }

    fn count(&mut self, id: LaneId, count: impl Fn(&mut AttemptCounter)) {
        count(&mut self.attempts);
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        if lane.attempts.is_told() {
            // Listed once, however much happens, so that an endpoint at which nothing does costs
            // no look.
            self.untold.push(id);
        }
        count(&mut lane.attempts);
    }
}

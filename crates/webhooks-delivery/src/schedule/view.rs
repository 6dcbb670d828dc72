//! What the simulator looks at.

use std::sync::Arc;

use webhooks_core::{DeliveryId, WebhookDelivery};

use super::command::Entry;
use super::lane::Lane;
use super::lane_id::{LaneId, RequestId};
use super::now::Now;
use super::scheduler::Scheduler;

/// A delivery that is leased, as far as this process knows.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    pub(crate) id: DeliveryId,
    pub(crate) token: u64,
    pub(crate) attempts: u32,
    pub(crate) incarnation: u64,
    pub(crate) is_last: bool,
    pub(crate) by_name: bool,
    pub(crate) is_suspect: bool,
    pub(crate) sort_key: i64,
    pub(crate) bytes: usize,
    pub(crate) event_type: Arc<str>,
}

impl Leased {
    pub(super) fn of(delivery: &WebhookDelivery) -> Self {
        let token = delivery.lease.as_ref().map_or(0, |lease| lease.token);
        Self {
            id: delivery.id,
            token,
            attempts: delivery.attempts,
            incarnation: delivery.incarnation,
            is_last: delivery.attempts >= delivery.max_retries,
            by_name: delivery.by_name,
            is_suspect: delivery.crashes >= 2,
            sort_key: delivery.priority.sort_key(delivery.event.created_at),
            bytes: delivery.event.payload.len(),
            event_type: delivery.event.event_type.as_str().into(),
        }
    }
}

/// What waits and runs at one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct LaneView {
    pub(crate) id: LaneId,
    pub(crate) endpoint_id: Arc<str>,
    pub(crate) incarnation: u64,
    pub(crate) is_gone: bool,
    pub(crate) is_open: bool,
    pub(crate) has_tenant: bool,
    pub(crate) waiting: Vec<Leased>,
    /// Requests in flight, by number.
    pub(crate) running: Vec<(u64, Vec<Leased>)>,
    pub(crate) leased: usize,
    pub(crate) reserved: usize,
    pub(crate) is_stalled: bool,
    pub(crate) is_backlogged: bool,
    /// What it waits for is only its turn.
    pub(crate) could_start: bool,
}

impl Scheduler {
    /// All lanes, by their age.
    pub(crate) fn views(&self, now: Now) -> Vec<LaneView> {
        let mut views: Vec<_> = self.lanes.iter().map(|lane| self.view(lane, now)).collect();
        views.sort_unstable_by_key(|view| view.id);
        views
    }

    fn view(&self, lane: &Lane, now: Now) -> LaneView {
        let running = lane.in_flight.iter().map(|running| {
            let carried = running.carried.deliveries().iter().map(Leased::of);
            (running.number, carried.collect())
        });
        LaneView {
            id: lane.id,
            endpoint_id: lane.endpoint_id.clone(),
            incarnation: lane.incarnation,
            is_gone: lane.left.is_some(),
            is_open: lane.is_open(now.at),
            has_tenant: lane.tenant.is_some(),
            waiting: lane.waiting.iter().map(Leased::of).collect(),
            running: running.collect(),
            leased: lane.counted.leased,
            reserved: lane.counted.reserved,
            is_stalled: lane.queued.stalled.is_some(),
            is_backlogged: lane.queued.backlogged,
            could_start: !lane.waiting.is_empty() && self.could_start(lane, now),
        }
    }

    /// Entries that are made and not taken out.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.out.entries().iter()
    }

    /// Requests that are leased, and that claims may bring besides.
    pub(crate) fn leased_requests(&self) -> (usize, usize) {
        (self.held.len(), self.claims.limit())
    }

    /// What a request carries.
    pub(crate) fn carried(&self, request: RequestId) -> Vec<Leased> {
        let lane = self.lanes.get(request.lane);
        let running = lane.and_then(|l| l.in_flight.iter().find(|r| r.number == request.number));
        let carried = running.map(|running| running.carried.deliveries());
        carried.unwrap_or_default().iter().map(Leased::of).collect()
    }
}

impl RequestId {
    pub(crate) const fn lane(self) -> LaneId {
        self.lane
    }
}

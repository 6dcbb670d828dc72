//! What came of deliveries, and gates, are stored.
//!
//! Only what is stored frees room: a delivery whose settlement is still in memory is leased as far
//! as the storage and every other process are concerned.

use std::collections::HashSet;

use webhooks_core::storage::spi::{EndpointGate, GateChange, HeldLease, SettleAs, Settlement};
use webhooks_core::{OrderBy, Timestamp};

use super::hold::Hold;
use super::known_leases::LeaseKey;
use super::lane_id::LaneId;
use super::now::Now;
use super::scheduler::Scheduler;

/// What came of a delivery, as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) settlement: &'a Settlement,
    /// Whose it was; `None` if it was never taken into a lane.
    pub(crate) lane: Option<LaneId>,
    /// The storage refuses to store it for good: it stays leased.
    /// Its count stays, so that refused outcomes without end also stop the claims.
    pub(crate) is_refused: bool,
}

impl Scheduler {
    /// What came of these deliveries is stored, or refused.
    pub(crate) fn settled<'a>(&mut self, written: impl IntoIterator<Item = Written<'a>>) {
        let mut is_work = false;
        for Written {
            settlement,
            lane,
            is_refused,
        } in written
        {
            // Also if it is refused: its request has ended, and the process is still there.
            is_work |= self.poison_suspect.settled(settlement.delivery_id);
            is_work |= goes_back(settlement);
            if is_refused {
                continue;
            }
            self.leases
                .settled(&(settlement.delivery_id, settlement.token));
            let Some(lane) = lane.and_then(|id| self.lanes.get_mut(id)) else {
                continue;
            };
            self.held.take_out(lane, 1);
            // The storage may let another out for it.
            // Such an endpoint has one more lease free, for any process.
            is_work |= lane.record.gate.max_leased.is_some();
            // The end of one has made the next one of its order ready.
            is_work |= lane.record.endpoint.ordering != OrderBy::None;
            is_work |= lane.has_more();
            let id = lane.id;
            self.lanes.drop_if_done(id);
        }
        self.room_made(is_work);
    }

    /// There is room for more, of which a claim may make use. `is_work`: there likely is something.
    ///
    /// Without this condition each settlement of a quiet system would cost a claim that finds
    /// nothing.
    pub(super) fn room_made(&mut self, is_work: bool) {
        // A claim on its way may have asked before there was that room.
        let is_of_use = !self.claims.is_empty() || self.left_some;
        if is_work || is_of_use {
            self.out.claim();
        }
    }

    /// These gates are stored, by calls that began when endpoints were known up to the revision
    /// `since`. Whether endpoints must be read before [`gates_read`](Self::gates_read): what was read
    /// meanwhile may know of a hold, and of who has ended it since.
    pub(crate) fn gates_stored(&mut self, gates: &[EndpointGate], since: u64) -> bool {
        let closing = || gates.iter().filter_map(closes);
        let was_read = |id| {
            let lane = self.lane_of(id);
            lane.is_some_and(|lane| lane.record.revision > since)
        };
        // A disabled endpoint has no end of its hold that could be taken over: only a read tells
        // whether somebody has enabled it since.
        if closing().any(|(gate, until)| until.is_none() || was_read(&gate.endpoint_id)) {
            return true;
        }
        self.each_hold(gates, Hold::was_stored);
        self.out.claim();
        false
    }

    /// These gates are stored, and endpoints were read since.
    pub(crate) fn gates_read(&mut self, gates: &[EndpointGate]) {
        self.each_hold(gates, Hold::was_read);
        self.out.claim();
    }

    /// Acts on what was stored, but for what the storage has passed over because it was void.
    ///
    /// A gate of an epoch that is over was void in the storage, and must be void here as well: the
    /// lane would stay held by what nobody else sees.
    fn each_hold(&mut self, gates: &[EndpointGate], act: impl Fn(&mut Hold, Option<Timestamp>)) {
        for (gate, until) in gates.iter().filter_map(closes) {
            let id = self.directory.get(&gate.endpoint_id);
            let lane = id.and_then(|id| self.lanes.get_mut(id));
            if let Some(lane) = lane.filter(|lane| lane.is_in(gate.epoch)) {
                act(&mut lane.hold, until);
            }
        }
    }

    /// Whether the storage has passed over this gate, since it was of an epoch that is over.
    pub(crate) fn is_void(&self, gate: &EndpointGate) -> bool {
        let lane = self.lane_of(&gate.endpoint_id);
        lane.is_some_and(|lane| !lane.is_in(gate.epoch))
    }

    /// Parts what the storage says is leased here, and nobody here knows of, in what is lost, since it
    /// was `seen` so before, and what is not yet. What is lost is not taken any more, whatever answer
    /// may still bring it.
    pub(crate) fn lose(
        &mut self,
        now: Now,
        told: Vec<HeldLease>,
        seen: &HashSet<LeaseKey>,
    ) -> (Vec<HeldLease>, Vec<HeldLease>) {
        self.leases.lose(told, seen, now.moment)
    }
}

/// Whether the delivery waits again in the storage.
const fn goes_back(settlement: &Settlement) -> bool {
    matches!(
        settlement.settle_as,
        SettleAs::Retry { .. } | SettleAs::Release { .. }
    )
}

/// A gate that closes its endpoint, and until when, if that is known.
const fn closes(gate: &EndpointGate) -> Option<(&EndpointGate, Option<Timestamp>)> {
    match gate.change {
        GateChange::Hold { until } => Some((gate, Some(until))),
        GateChange::Disable(_) => Some((gate, None)),
        _ => None,
    }
}

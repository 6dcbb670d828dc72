//! Straight through: a delivery that starts as soon as it is stored.

use std::sync::Arc;

use webhooks_core::{Admission, Clock, Permit, WebhookDelivery};

use crate::dispatcher::Dispatcher;
use crate::lane::Lane;
use crate::load::Load;

/// The right to start one request, for a delivery that is about to be stored; given back when it is
/// dropped unused.
#[derive(Debug)]
pub(crate) struct Reservation {
    dispatcher: Arc<Dispatcher>,
    lane: Arc<Lane>,
    permit: Option<Box<dyn Permit>>,
    /// The leases under which it was made.
    era: u64,
}

impl Reservation {
    /// Reserves a request, so that the delivery goes out without a claim. Not when others of its
    /// endpoint wait, which have their turn.
    pub(crate) fn new(dispatcher: &Arc<Dispatcher>, lane: &Arc<Lane>) -> Option<Self> {
        let mut state = lane.lock();
        let now = dispatcher.clock.now();
        let idle = state.waiting.is_empty() && !state.backlog && !state.batches();
        let free = state.record.gate.max_leased.is_none() && state.is_open(now);
        let limit = state.rate_limit(dispatcher.settings.rate_limit);
        // The storage keeps the limit in its claims.
        let limited_elsewhere = limit.is_some() && dispatcher.storage.limits_rate();
        let allowed = idle && free && !limited_elsewhere && dispatcher.can_start(&state);
        if !allowed || !dispatcher.slots.take() {
            return None;
        }
        let Admission::Go(permit) = dispatcher.gate.admit(&lane.endpoint_id, limit, now) else {
            dispatcher.slots.free();
            return None;
        };
        state.reserved += 1;
        dispatcher.hand.put_in(lane, &mut state, 1);
        dispatcher.recount(&mut state);
        Some(Self {
            dispatcher: dispatcher.clone(),
            lane: lane.clone(),
            permit: Some(permit),
            era: dispatcher.heartbeat.era(),
        })
    }

    /// Starts the request, now that the delivery is stored and leased.
    pub(crate) fn start(mut self, delivery: WebhookDelivery) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let dispatcher = self.dispatcher.clone();
        let mut state = self.lane.lock();
        state.reserved -= 1;
        let leased = self.era == dispatcher.heartbeat.era() && dispatcher.holds_leases();
        if leased && state.is_open(dispatcher.clock.now()) {
            dispatcher.start(&self.lane, &mut state, Load::One(delivery), permit);
            return;
        }
        // It was closed, or the leases were lost, while the event was stored.
        dispatcher.slot_freed(&self.lane, &mut state);
        drop(state);
        dispatcher.release(Some(&self.lane), &delivery, dispatcher.clock.now());
    }

    /// Gives a delivery back that may have been stored leased, though its commit failed.
    pub(crate) fn disown(self, delivery: &WebhookDelivery) {
        let dispatcher = self.dispatcher.clone();
        drop(self);
        dispatcher.release(None, delivery, dispatcher.clock.now());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.permit.take().is_some() {
            let mut state = self.lane.lock();
            state.reserved -= 1;
            self.dispatcher.slot_freed(&self.lane, &mut state);
            drop(state);
            self.dispatcher.hand.take_out(&self.lane);
            self.dispatcher.dispatch();
        }
    }
}

//! Straight through: a delivery that is stored leased, and goes out without a claim.

use std::sync::Arc;

use webhooks_core::{Clock, WebhookDelivery};

use crate::dispatcher::Dispatcher;
use crate::lane::Lane;
use crate::moment;

/// A place in the hand for a delivery that is about to be stored; given back when it is dropped
/// unused.
#[derive(Debug)]
pub(crate) struct Reservation {
    dispatcher: Arc<Dispatcher>,
    lane: Arc<Lane>,
    is_used: bool,
    /// The leases under which it was made.
    era: u64,
}

impl Reservation {
    /// Reserves a place in the lane, if there is room and nothing of its endpoint waits in the
    /// storage, which has its turn first.
    pub(crate) fn new(dispatcher: &Arc<Dispatcher>, lane: Arc<Lane>) -> Option<Self> {
        let mut state = lane.lock();
        if state.backlog || state.batches() {
            return None;
        }
        let moment = moment::now();
        let now = dispatcher.clock.at(moment);
        let free = state.record.gate.max_leased.is_none() && state.is_open(now);
        // The storage keeps the limit in its claims.
        let limited_elsewhere = state.rate_limit(dispatcher.settings.rate_limit).is_some()
            && dispatcher.storage.limits_rate();
        if !free || limited_elsewhere || !dispatcher.has_room(&state, moment) {
            return None;
        }
        state.reserved += 1;
        dispatcher.hand.put_in(&lane, &mut state, 1);
        dispatcher.recount(&mut state, moment);
        drop(state);
        Some(Self {
            dispatcher: dispatcher.clone(),
            lane,
            is_used: false,
            era: dispatcher.heartbeat.era(),
        })
    }

    /// Takes the delivery in hand, now that it is stored and leased.
    pub(crate) fn use_for(mut self, delivery: WebhookDelivery) {
        self.is_used = true;
        let (dispatcher, lane) = (&self.dispatcher, &self.lane);
        let mut state = lane.lock();
        state.reserved -= 1;
        let moment = moment::now();
        let now = dispatcher.clock.at(moment);
        let leased = self.era == dispatcher.heartbeat.era() && dispatcher.holds_leases(moment);
        if leased && state.is_open(now) {
            return dispatcher.accept_one(lane, &mut state, delivery, moment);
        }
        // It was closed, or the leases were lost, while the event was stored.
        dispatcher.recount(&mut state, moment);
        drop(state);
        dispatcher.release(Some(lane), &delivery, now);
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
        if !self.is_used {
            let mut state = self.lane.lock();
            state.reserved -= 1;
            self.dispatcher.recount(&mut state, moment::now());
            drop(state);
            let hand = &self.dispatcher.hand;
            if hand.take_out(&self.lane, 1) || hand.wants_more() {
                self.dispatcher.work.notify_one();
            }
            self.dispatcher.dispatch();
        }
    }
}

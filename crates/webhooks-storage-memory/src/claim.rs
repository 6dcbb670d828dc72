//! Leasing: in turn between endpoints, by sort key within one.

use std::collections::HashMap;
use std::sync::Arc;

use webhooks_core::storage::spi::{Claim, Claimed};
use webhooks_core::{
    DeliveryOrder, DeliveryState, Lease, Timestamp, WebhookDelivery, WebhookEvent,
};

use crate::batching::Allowance;
use crate::row::Row;
use crate::state::State;

/// Scheduled deliveries that one claim makes ready at most, so that a million of them that become
/// due together do not stop everybody else.
const MOST_PROMOTED: usize = 10_000;

impl State {
    /// Leases what is ready, in turn between endpoints, and says when there may be more.
    pub(crate) fn claim(&mut self, claim: &Claim<'_>) -> Claimed {
        // Before the turns: what has become due competes with what was ready, by priority and not
        // by the time at which it was noticed.
        self.promote(claim.now);
        self.ring.end_holds(&mut self.endpoints, claim.now);
        let deliveries = self.take_in_turn(claim);
        // What was left over by a bounded promotion is due in the past: the claim's caller asks
        // again at once.
        let scheduled = self.scheduled.first_key_value().map(|((due, _), _)| *due);
        // Only after the turns, which put back whatever is held or fills.
        let held = self.ring.next_hold(&mut self.endpoints, claim.now);
        let next_due = scheduled.into_iter().chain(held).min();
        Claimed {
            deliveries,
            next_due,
        }
    }

    /// Takes one delivery of each endpoint in turn, or one batch, until the limit is met or nothing
    /// is left.
    ///
    /// Each turn takes one endpoint from the front of the ring and puts it back at the end, so that
    /// a long backlog delays others by one request. A turn costs the same whatever lies behind it.
    fn take_in_turn(&mut self, claim: &Claim<'_>) -> Vec<WebhookDelivery> {
        let mut worker = None;
        // Room for endpoints that are not there is passed over: the caller's picture may be older.
        let room: HashMap<u32, usize> = claim
            .room
            .iter()
            .filter_map(|r| Some((*self.endpoint_handles.get(&r.endpoint_id)?, r.deliveries)))
            .collect();
        // What each endpoint may still give in this claim. Computed at its first turn and then only
        // counted down: computed anew, a batch endpoint would be judged by what is left instead of
        // by what was ready.
        let mut allowed = HashMap::<u32, Allowance>::new();
        // Endpoints that gave nothing are kept out of the ring until the end, or the loop would
        // meet the same ones for ever.
        let (mut taken, mut full) = (Vec::new(), Vec::new());
        let mut suspects = claim.poison_suspects;
        while taken.len() < claim.limit {
            let Some(endpoint) = self.ring.next(&mut self.endpoints, claim.now) else {
                break;
            };
            let allowance = || {
                let room = room.get(&endpoint).copied();
                let room = room.unwrap_or_else(|| self.usual_room(endpoint, claim.per_endpoint));
                self.endpoints.at(endpoint).allowance(room, claim.now)
            };
            let mut left = *allowed.entry(endpoint).or_insert_with(allowance);
            let before = taken.len();
            // A batch comes whole though it may pass the limit: a cut one would be sent as a
            // smaller batch.
            for _ in 0..self.endpoints.at(endpoint).per_turn() {
                let Some((handle, is_suspect)) = self.next_of(endpoint, left, suspects > 0) else {
                    break;
                };
                left.all -= 1;
                left.sound -= usize::from(!is_suspect);
                suspects -= usize::from(is_suspect);
                // With its first lease a worker becomes known, so that its silence is noticed though
                // it has never beaten.
                let known = || self.worker(claim.worker, claim.now);
                let worker = *worker.get_or_insert_with(known);
                taken.push(self.lease(handle, worker, claim.now));
            }
            allowed.insert(endpoint, left);
            if taken.len() == before {
                full.push(endpoint);
                continue;
            }
            // To the end of the ring: everybody else has a turn before its next one.
            self.ring
                .admit(endpoint, self.endpoints.at_mut(endpoint), claim.now);
        }
        for endpoint in full {
            self.ring
                .admit(endpoint, self.endpoints.at_mut(endpoint), claim.now);
        }
        taken
    }

    /// The row of an endpoint that a claim takes next; whether it is a poison suspect.
    fn next_of(&self, endpoint: u32, left: Allowance, suspects: bool) -> Option<(u32, bool)> {
        let entry = self.endpoints.at(endpoint);
        if left.all == 0 || !entry.is_claimable() {
            return None;
        }
        entry.first_ready(suspects, left.sound > 0)
    }

    /// What the claim allows of an endpoint that it says nothing special of: for one that batches,
    /// so many requests instead of so many deliveries.
    fn usual_room(&self, endpoint: u32, per_endpoint: usize) -> usize {
        per_endpoint.saturating_mul(self.endpoints.at(endpoint).per_turn())
    }

    /// Leases one row under a new token. Tokens of a row only grow, over replays too: whoever held
    /// the row before can change nothing of it any more.
    fn lease(&mut self, handle: u32, worker: u32, now: Timestamp) -> WebhookDelivery {
        let row = self.rows.at_mut(handle);
        // Each lease has a token of its own, by which a settlement of an earlier one is told apart.
        row.token += 1;
        row.worker = worker;
        self.move_to(handle, DeliveryState::Leased, now);
        self.delivery(self.rows.at(handle))
    }

    /// The delivery that a row stands for.
    ///
    /// The endpoint's definition is not in it: the claimer has definitions of its own, and a copy
    /// here would hand out secrets with every delivery.
    pub(crate) fn delivery(&self, row: &Row) -> WebhookDelivery {
        let lease = (row.state == DeliveryState::Leased).then(|| Lease {
            worker: self.workers.at(row.worker).id.clone(),
            token: row.token,
        });
        WebhookDelivery {
            id: row.id,
            endpoint_id: self.endpoints.at(row.endpoint).id.clone(),
            incarnation: row.incarnation.into(),
            by_name: row.by_name,
            order: row.order().map(|order| self.delivery_order(row, order)),
            event: self.event_shown(row),
            priority: row.priority,
            due_at: row.due_at,
            attempts: row.attempts,
            max_retries: self.events.at(row.event).max_retries,
            crashes: u32::from(row.crashes),
            lease,
            endpoint: None,
        }
    }

    /// The event of a row, without its payload if the row was erased.
    fn event_shown(&self, row: &Row) -> Arc<WebhookEvent> {
        let event = self.events.at(row.event);
        match row.erased {
            true => event.without_payload(),
            false => Arc::clone(&event.event),
        }
    }

    fn delivery_order(&self, row: &Row, order: u32) -> DeliveryOrder {
        let (_, _, key) = &self.orders.at(order).key;
        DeliveryOrder {
            key: Arc::clone(key),
            on_dead: row.on_dead,
        }
    }

    /// Makes the scheduled rows ready whose time has come.
    pub(crate) fn promote(&mut self, now: Timestamp) {
        for _ in 0..MOST_PROMOTED {
            let Some((&(due, _), &handle)) = self.scheduled.first_key_value() else {
                break;
            };
            if due > now {
                break;
            }
            self.move_to(handle, DeliveryState::Ready, now);
        }
    }
}

//! Leasing what is ready, of endpoints in turn: a claim looks at no endpoint that has nothing to
//! give.

use std::collections::HashMap;

use webhooks_core::storage::{Claim, Claimed};
use webhooks_core::{DeliveryState, Lease, Timestamp, WebhookDelivery};

use crate::batching::Allowance;
use crate::row::Row;
use crate::state::State;

/// Scheduled deliveries that one claim makes ready at most, so that a million of them that become
/// due together do not stop everybody else.
const MOST_PROMOTED: usize = 10_000;

impl State {
    pub(crate) fn claim(&mut self, claim: &Claim<'_>) -> Claimed {
        // Before anything is taken: what has just become due may be more urgent than what is ready.
        self.promote(claim.now);
        self.ring.end_holds(&mut self.endpoints, claim.now);
        let deliveries = self.take_in_turn(claim);
        let scheduled = self.scheduled.first_key_value().map(|((due, _), _)| *due);
        let held = self.ring.next_hold(&self.endpoints, claim.now);
        let next_due = scheduled.into_iter().chain(held).min();
        Claimed {
            deliveries,
            next_due,
        }
    }

    /// Takes one delivery of each endpoint in turn, or one batch, until the limit is met or nothing
    /// is left.
    fn take_in_turn(&mut self, claim: &Claim<'_>) -> Vec<WebhookDelivery> {
        let worker = self.worker(claim.worker, claim.now);
        let room: HashMap<u32, usize> = claim
            .room
            .iter()
            .filter_map(|r| Some((*self.endpoint_handles.get(&r.endpoint_id)?, r.deliveries)))
            .collect();
        let mut allowed = HashMap::<u32, Allowance>::new();
        // Those that gave nothing are out of the ring until the end of the claim: back in it at
        // once, one without room would have its turn again and again.
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
            for _ in 0..self.endpoints.at(endpoint).per_turn() {
                let Some((handle, is_suspect)) = self.next_of(endpoint, left, suspects > 0) else {
                    break;
                };
                left.all -= 1;
                left.sound -= usize::from(!is_suspect);
                suspects -= usize::from(is_suspect);
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

    fn usual_room(&self, endpoint: u32, per_endpoint: usize) -> usize {
        per_endpoint.saturating_mul(self.endpoints.at(endpoint).per_turn())
    }

    fn lease(&mut self, handle: u32, worker: u32, now: Timestamp) -> WebhookDelivery {
        let row = self.rows.at_mut(handle);
        // Each lease has a token of its own, by which a settlement of an earlier one is told apart.
        row.token += 1;
        row.worker = worker;
        self.move_to(handle, DeliveryState::Leased, now);
        self.delivery(self.rows.at(handle))
    }

    /// The delivery that a row stands for.
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
            event: row.event.clone(),
            priority: row.priority,
            due_at: row.due_at,
            attempts: row.attempts,
            max_retries: row.max_retries,
            crashes: u32::from(row.crashes),
            lease,
            endpoint: None,
        }
    }

    /// Makes the scheduled rows ready whose time has come.
    fn promote(&mut self, now: Timestamp) {
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

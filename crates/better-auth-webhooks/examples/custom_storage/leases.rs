use better_auth_webhooks::storage::{
    Claim, Claimed, EndpointRecord, HeldLease, POISON_CRASHES, SettleAs, Settled, Settlement,
    WORKER_DEAD_AFTER,
};
use better_auth_webhooks::{
    DeadReason, DeliveryId, DeliveryState, Lease, Timestamp, WebhookDelivery, WorkerId,
};

use crate::filling::{due, per_turn, room};
use crate::lists::{Lists, Worker};
use crate::row::Row;

/// What workers do: claim, settle, and take back what dead ones held.
impl Lists {
    /// What this worker has leased, by growing id, behind `after`.
    pub(crate) fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Vec<HeldLease> {
        let leased = self
            .rows
            .iter()
            .filter(|r| r.state == DeliveryState::Leased);
        let mut held: Vec<_> = leased
            .filter(|row| after.is_none_or(|after| row.delivery.id > after))
            .filter_map(|row| {
                let lease = row.delivery.lease.as_ref()?;
                (lease.worker == *worker).then(|| HeldLease {
                    delivery_id: row.delivery.id,
                    endpoint_id: row.delivery.endpoint_id.clone(),
                    token: lease.token,
                })
            })
            .collect();
        held.sort_by_key(|lease| lease.delivery_id);
        held.truncate(limit);
        held
    }

    pub(crate) fn claim(&mut self, claim: &Claim<'_>) -> Claimed {
        let now = claim.now;
        for row in &mut self.rows {
            if row.state == DeliveryState::Scheduled && row.delivery.due_at <= now {
                row.state = DeliveryState::Ready;
            }
        }
        let mut next_due: Vec<Timestamp> = self
            .rows
            .iter()
            .filter(|row| row.state == DeliveryState::Scheduled)
            .map(|row| row.delivery.due_at)
            .collect();
        // Of each endpoint its first rows, and of all of these those of one request of
        // each endpoint in turn.
        let mut turns = Vec::new();
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.is_open()) {
            let (places, later) = self.claimable(endpoint, claim);
            next_due.extend(later);
            let turn = |n| n / per_turn(&endpoint.endpoint);
            let places = places.into_iter().enumerate();
            turns.extend(places.map(|(n, place)| (turn(n), place)));
        }
        turns.sort_by_key(|(turn, place)| {
            let row = self.rows.get(*place);
            // Who was served longest ago goes first.
            (
                *turn,
                row.map(|row| self.last_served(&row.delivery.endpoint_id)),
            )
        });
        let mut suspects = claim.poison_suspects;
        turns.retain(|(_, place)| {
            let is_suspect = self
                .rows
                .get(*place)
                .is_some_and(|row| row.delivery.is_poison_suspect());
            let comes = !is_suspect || suspects > 0;
            suspects -= usize::from(is_suspect && comes);
            comes
        });
        let taken = turns.into_iter().take(claim.limit);
        let deliveries = taken
            .filter_map(|(_, place)| self.lease(place, claim.worker, now))
            .collect();
        Claimed {
            deliveries,
            next_due: next_due.into_iter().min(),
        }
    }

    /// The places of what may be claimed of an open endpoint, in order; and when there is more, if
    /// only time is missing.
    fn claimable(
        &self,
        endpoint: &EndpointRecord,
        claim: &Claim<'_>,
    ) -> (Vec<usize>, Option<Timestamp>) {
        let held_until = endpoint.gate.held_until.filter(|until| *until > claim.now);
        if held_until.is_some() {
            return (Vec::new(), held_until);
        }
        let own = |row: &Row| *row.delivery.endpoint_id == *endpoint.endpoint.id;
        let is_leased = |row: &Row| row.state == DeliveryState::Leased;
        let leased = self.places(|row| own(row) && is_leased(row)).len();
        let most = endpoint.gate.max_leased.map_or(usize::MAX, |n| n as usize);
        let room = most
            .saturating_sub(leased)
            .min(room(claim, &endpoint.endpoint));
        let is_ready = |row: &Row| row.state == DeliveryState::Ready;
        let mut ready = self.places(|row| own(row) && is_ready(row));
        ready.sort_by_key(|place| self.rows.get(*place).map(Row::sort_key));
        let row = |place: &usize| self.rows.get(*place);
        let is_suspect = |place: &usize| row(place).is_some_and(|r| r.delivery.is_poison_suspect());
        let (suspects, others): (Vec<_>, Vec<_>) = ready.into_iter().partition(is_suspect);
        // Suspects go alone: they neither fill a batch nor wait for one.
        let rows: Vec<_> = others.iter().filter_map(row).collect();
        let due = due(&endpoint.endpoint, &rows, room, claim.now);
        let others = others.into_iter().take(due.unwrap_or(0));
        let mut ready: Vec<_> = others.collect();
        ready.extend(suspects.into_iter().take(claim.poison_suspects));
        // Of the same time, what came first.
        ready.sort_by_key(|place| (row(place).map(Row::sort_key), *place));
        ready.truncate(room);
        (ready, due.err())
    }

    /// How many leases an endpoint has had so far.
    pub(crate) fn last_served(&self, endpoint_id: &str) -> u64 {
        let own = self
            .rows
            .iter()
            .filter(|r| *r.delivery.endpoint_id == *endpoint_id);
        own.map(|row| row.token).sum()
    }

    pub(crate) fn lease(
        &mut self,
        place: usize,
        to: &WorkerId,
        now: Timestamp,
    ) -> Option<WebhookDelivery> {
        let row = self.rows.get_mut(place)?;
        row.token += 1;
        row.state = DeliveryState::Leased;
        row.updated_at = now;
        row.delivery.lease = Some(Lease {
            worker: to.clone(),
            token: row.token,
        });
        Some(row.delivery.clone())
    }

    pub(crate) fn settle(&mut self, worker: &WorkerId, s: &Settlement, now: Timestamp) -> Settled {
        let lease = Some(Lease {
            worker: worker.clone(),
            token: s.token,
        });
        let held = self.places(|row| {
            let is_held = row.state == DeliveryState::Leased && row.delivery.lease == lease;
            is_held && row.delivery.id == s.delivery_id
        });
        if let Some(attempt) = &s.attempt {
            let mut line = attempt.clone();
            line.ambiguous |= held.is_empty();
            self.log.push(line);
        }
        let Some(&place) = held.first() else {
            return Settled::Stale;
        };
        if let Some(row) = self.rows.get_mut(place) {
            row.delivery.attempts += u32::from(s.attempt.is_some());
        }
        match s.settle_as {
            SettleAs::Delivered => self.end(place, DeliveryState::Delivered, now),
            SettleAs::Dead { reason } => self.bury(place, reason, now),
            SettleAs::Cancelled { reason } => self.cancel(place, reason, now),
            SettleAs::Retry { at } | SettleAs::Release { at } => {
                return self.wait_again(place, at, now);
            }
        }
        Settled::Applied
    }

    /// Takes back what silent workers hold.
    pub(crate) fn rescue(&mut self, started_at: Timestamp, now: Timestamp) -> usize {
        let mut rescued = 0;
        let mut silent = Vec::new();
        for (id, worker) in &mut self.workers {
            if is_silent(worker, started_at, now) {
                worker.given_up = true;
                silent.push(id.clone());
            }
        }
        for place in self.places(|row| row.state == DeliveryState::Leased) {
            let Some(row) = self.rows.get_mut(place) else {
                continue;
            };
            let holder = row.delivery.lease.as_ref().map(|lease| &lease.worker);
            if holder.is_none_or(|holder| !silent.contains(holder)) {
                continue;
            }
            rescued += 1;
            row.delivery.crashes += 1;
            let (crashes, due_at) = (row.delivery.crashes, row.delivery.due_at.min(now));
            if crashes >= POISON_CRASHES && self.stranded(place).is_none() {
                self.bury(place, DeadReason::Poison, now);
            } else {
                self.wait_again(place, due_at, now);
            }
        }
        rescued
    }
}

pub(crate) fn is_silent(worker: &Worker, started_at: Timestamp, now: Timestamp) -> bool {
    now.since(worker.beat_at.max(started_at)) >= WORKER_DEAD_AFTER
}

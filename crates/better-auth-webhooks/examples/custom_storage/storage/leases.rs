use better_auth_webhooks::storage::EndpointRecord;
use better_auth_webhooks::storage::spi::{
    Beat, Claim, Claimed, HeldLease, POISON_CRASHES, SettleAs, Settled, Settlement,
    WORKER_DEAD_AFTER,
};
use better_auth_webhooks::{
    DeadReason, DeliveryId, DeliveryState, Timestamp, WebhookDelivery, WorkerId,
};

use super::filling::{due, per_turn, room};
use super::lists::{Lists, Worker};
use super::row::Row;

/// What workers do: claim, settle, and take back what dead ones held.
impl Lists {
    /// What this worker has leased, by growing id, behind `after`.
    pub(crate) fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Vec<HeldLease> {
        let leased = self.rows.iter().filter(|row| row.is_leased_to(worker));
        let leases = leased.map(|row| HeldLease {
            delivery_id: row.record.delivery.id,
            endpoint_id: row.record.delivery.endpoint_id.clone(),
            token: row.token,
        });
        let behind = |lease: &HeldLease| after.is_none_or(|after| lease.delivery_id > after);
        let mut held: Vec<_> = leases.filter(behind).collect();
        held.sort_by_key(|lease| lease.delivery_id);
        held.truncate(limit);
        held
    }

    pub(crate) fn claim(&mut self, claim: &Claim<'_>) -> Claimed {
        let now = claim.now;
        for row in &mut self.rows {
            let record = &mut row.record;
            if record.state == DeliveryState::Scheduled && record.delivery.due_at <= now {
                record.state = DeliveryState::Ready;
            }
        }
        let mut next_due: Vec<Timestamp> = self
            .rows
            .iter()
            .filter(|row| row.record.state == DeliveryState::Scheduled)
            .map(|row| row.record.delivery.due_at)
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
                row.map(|row| self.last_served(&row.record.delivery.endpoint_id)),
            )
        });
        let mut suspects = claim.poison_suspects;
        turns.retain(|(_, place)| {
            let is_suspect = self
                .rows
                .get(*place)
                .is_some_and(|row| row.record.delivery.is_poison_suspect());
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
        let own = |row: &Row| row.is_of(&endpoint.endpoint.id);
        let is_leased = |row: &Row| row.record.state == DeliveryState::Leased;
        let leased = self.places_of(|row| own(row) && is_leased(row)).len();
        let most = endpoint.gate.max_leased.map_or(usize::MAX, |n| n as usize);
        let room = most
            .saturating_sub(leased)
            .min(room(claim, &endpoint.endpoint));
        let is_ready = |row: &Row| row.record.state == DeliveryState::Ready;
        let mut ready = self.places_of(|row| own(row) && is_ready(row));
        ready.sort_by_key(|place| self.rows.get(*place).map(Row::sort_key));
        let row = |place: &usize| self.rows.get(*place);
        let is_suspect =
            |place: &usize| row(place).is_some_and(|r| r.record.delivery.is_poison_suspect());
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
        let own = self.rows.iter().filter(|row| row.is_of(endpoint_id));
        own.map(|row| row.token).sum()
    }

    fn lease(&mut self, at: usize, to: &WorkerId, now: Timestamp) -> Option<WebhookDelivery> {
        self.know(to, now);
        let row = self.rows.get_mut(at)?;
        row.lease_to(to, now);
        Some(row.record.delivery.clone())
    }

    /// Knows a worker that leases something, so that its silence is noticed.
    pub(crate) fn know(&mut self, worker: &WorkerId, now: Timestamp) {
        self.workers.entry(worker.clone()).or_insert(Worker {
            seen_at: now,
            has_beaten: false,
            given_up: false,
        });
    }

    pub(crate) fn settle(&mut self, worker: &WorkerId, s: &Settlement, now: Timestamp) -> Settled {
        let held = self.places_of(|row| {
            row.is_leased_to(worker)
                && row.token == s.token
                && row.record.delivery.id == s.delivery_id
        });
        if let Some(attempt) = &s.attempt {
            let mut line = attempt.clone();
            line.ambiguous |= held.is_empty();
            self.log.push(line);
        }
        let Some(&at) = held.first() else {
            return Settled::Stale;
        };
        if let Some((row, attempt)) = self.rows.get_mut(at).zip(s.attempt.as_ref()) {
            row.record.delivery.attempts += 1;
            row.record.last_status = attempt.status;
            row.record.last_failure = attempt.failure;
        }
        match s.settle_as {
            SettleAs::Delivered => self.end(at, DeliveryState::Delivered, now),
            SettleAs::Dead { reason } => self.bury(at, reason, now),
            SettleAs::Cancelled { reason } => self.cancel(at, reason, now),
            SettleAs::Retry { at: due_at } | SettleAs::Release { at: due_at } => {
                return self.wait_again(at, due_at, now);
            }
        }
        Settled::Applied
    }

    /// Notes a sign of life, and takes back what silent workers hold.
    pub(crate) fn beat(
        &mut self,
        worker: Option<&WorkerId>,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Beat {
        let mut beat = Beat {
            now,
            revision: self.revision,
            outbox: !self.fan_outs.is_empty(),
            ..Beat::default()
        };
        let Some(id) = worker else {
            return beat;
        };
        let alive = Worker {
            seen_at: now,
            has_beaten: true,
            given_up: false,
        };
        let Some(before) = self.workers.insert(id.clone(), alive) else {
            return beat;
        };
        beat.before = before.has_beaten.then_some(before.seen_at);
        beat.lost = before.given_up;
        // Only two beats in a row show that not everybody stood still.
        let is_in_a_row = before.has_beaten && !before.given_up;
        if is_in_a_row && !is_silent(&before, started_at, now) {
            beat.rescued = self.rescue(started_at, now);
        }
        beat
    }

    fn rescue(&mut self, started_at: Timestamp, now: Timestamp) -> usize {
        let mut silent = Vec::new();
        for (id, worker) in &mut self.workers {
            if is_silent(worker, started_at, now) {
                worker.given_up = true;
                silent.push(id.clone());
            }
        }
        let orphans = self.places_of(|row| silent.iter().any(|worker| row.is_leased_to(worker)));
        for at in &orphans {
            let Some(row) = self.rows.get_mut(*at) else {
                continue;
            };
            let delivery = &mut row.record.delivery;
            delivery.crashes += 1;
            let (crashes, due_at) = (delivery.crashes, delivery.due_at.min(now));
            if crashes >= POISON_CRASHES && self.stranded(*at).is_none() {
                self.bury(*at, DeadReason::Poison, now);
            } else {
                self.wait_again(*at, due_at, now);
            }
        }
        orphans.len()
    }
}

fn is_silent(worker: &Worker, started_at: Timestamp, now: Timestamp) -> bool {
    now.since(worker.seen_at.max(started_at)) >= WORKER_DEAD_AFTER
}

use std::collections::HashMap;
use std::sync::Arc;

use better_auth_webhooks::storage::{
    Change, Counts, EndpointRecord, Enqueued, FanOut, FanOutPart, IDEMPOTENCY_WINDOW, NewEvent,
    PartPlace, Retention, Settled, Swept,
};
use better_auth_webhooks::{
    AttemptRecord, CancelReason, DeadReason, DeliveryId, DeliveryState, EventId, Timestamp,
    WebhookEvent, WorkerId,
};

use crate::row::{Row, new_row};

/// Everything the storage holds.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(crate) endpoints: Vec<EndpointRecord>,
    pub(crate) revision: u64,
    pub(crate) rows: Vec<Row>,
    /// What was made and what has ended, by endpoint; never lowered by a sweep.
    pub(crate) totals: HashMap<Arc<str>, Counts>,
    pub(crate) log: Vec<AttemptRecord>,
    pub(crate) keys: Vec<Key>,
    pub(crate) workers: HashMap<WorkerId, Worker>,
    /// Those that are not done, each with when its last part was stored.
    pub(crate) fan_outs: Vec<(FanOut, Timestamp)>,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) key: Arc<str>,
    pub(crate) at: Timestamp,
    pub(crate) event_id: EventId,
    pub(crate) delivery_ids: Vec<DeliveryId>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) beat_at: Timestamp,
    pub(crate) given_up: bool,
}

impl Lists {
    pub(crate) fn endpoint(&mut self, id: &str) -> Option<&mut EndpointRecord> {
        self.endpoints
            .iter_mut()
            .find(|e| e.endpoint.id == id && !e.deleted)
    }

    /// Numbers a change of an endpoint.
    pub(crate) fn touch(&mut self, id: &str) {
        self.revision += 1;
        let revision = self.revision;
        let changed = self.endpoints.iter_mut().find(|e| e.endpoint.id == id);
        if let Some(endpoint) = changed {
            endpoint.revision = revision;
        }
    }

    pub(crate) fn total(&mut self, endpoint_id: &Arc<str>) -> &mut Counts {
        self.totals.entry(Arc::clone(endpoint_id)).or_default()
    }

    /// Ends the row at this place of the list.
    pub(crate) fn end(&mut self, place: usize, state: DeliveryState, now: Timestamp) {
        let Some(row) = self.rows.get_mut(place) else {
            return;
        };
        row.state = state;
        row.updated_at = now;
        let id = Arc::clone(&row.delivery.endpoint_id);
        let total = self.total(&id);
        match state {
            DeliveryState::Delivered => total.delivered += 1,
            DeliveryState::Dead => total.dead += 1,
            _ => total.cancelled += 1,
        }
    }

    pub(crate) fn bury(&mut self, place: usize, reason: DeadReason, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(place) {
            row.dead_reason = Some(reason);
        }
        self.end(place, DeliveryState::Dead, now);
    }

    pub(crate) fn cancel(&mut self, place: usize, reason: CancelReason, now: Timestamp) {
        if let Some(row) = self.rows.get_mut(place) {
            row.cancel_reason = Some(reason);
        }
        self.end(place, DeliveryState::Cancelled, now);
    }

    /// Cancels what waits for an endpoint.
    pub(crate) fn cancel_waiting(&mut self, id: &str, reason: CancelReason, now: Timestamp) {
        for place in self.places(|row| row.is_idle() && *row.delivery.endpoint_id == *id) {
            self.cancel(place, reason, now);
        }
    }

    /// Lets the row wait, unless it cannot be sent any more.
    pub(crate) fn wait_again(
        &mut self,
        place: usize,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Settled {
        if let Some(reason) = self.stranded(place) {
            self.cancel(place, reason, now);
            return Settled::Cancelled;
        }
        if let Some(row) = self.rows.get_mut(place) {
            row.wait_until(due_at, now);
        }
        Settled::Applied
    }

    /// Why the row cannot wait for its endpoint any more, if it cannot.
    pub(crate) fn stranded(&mut self, place: usize) -> Option<CancelReason> {
        let row = self.rows.get(place)?;
        if row.is_erased() {
            return Some(CancelReason::Erased);
        }
        let (id, incarnation) = (row.delivery.endpoint_id.clone(), row.delivery.incarnation);
        match self.endpoint(&id) {
            None => Some(CancelReason::EndpointDeleted),
            Some(endpoint) if endpoint.incarnation != incarnation => {
                Some(CancelReason::EndpointReplaced)
            }
            Some(_) => None,
        }
    }

    /// Places of the rows that are so.
    pub(crate) fn places(&self, so: impl Fn(&Row) -> bool) -> Vec<usize> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| so(row))
            .map(|(place, _)| place)
            .collect()
    }

    pub(crate) fn enqueue(
        &mut self,
        new: &NewEvent,
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Enqueued {
        self.keys
            .retain(|key| now.since(key.at) < IDEMPOTENCY_WINDOW);
        let known = self.keys.iter().position(|key| {
            Some(&key.key) == new.idempotency_key.as_ref() && key.tenant == new.event.tenant
        });
        // The same event under its own key is the same call, made again.
        let first = known.and_then(|place| self.keys.get(place));
        if let Some(first) = first.filter(|first| first.event_id != new.event.id) {
            return Enqueued::Duplicate {
                event_id: first.event_id,
                delivery_ids: first.delivery_ids.clone(),
            };
        }
        let (mut made, mut missing) = (Vec::new(), Vec::new());
        for delivery in &new.deliveries {
            let endpoint = self.endpoint(&delivery.endpoint_id);
            let incarnation = endpoint.map(|endpoint| endpoint.incarnation);
            let is_same = delivery.incarnation.is_none() || delivery.incarnation == incarnation;
            let Some(incarnation) = incarnation.filter(|_| is_same) else {
                missing.push(delivery.id);
                continue;
            };
            made.push(delivery.id);
            if self.rows.iter().all(|row| row.delivery.id != delivery.id) {
                let worker = worker.filter(|_| delivery.lease);
                self.total(&delivery.endpoint_id).enqueued += 1;
                let row = new_row(new, delivery, incarnation, worker, now);
                self.rows.push(row);
            }
        }
        if let Some(first) = known.and_then(|place| self.keys.get_mut(place)) {
            let more = made.iter().filter(|id| !first.delivery_ids.contains(id));
            let more: Vec<_> = more.copied().collect();
            first.delivery_ids.extend(more);
        } else if let Some(key) = &new.idempotency_key {
            self.keys.push(Key {
                tenant: new.event.tenant.clone(),
                key: Arc::clone(key),
                at: now,
                event_id: new.event.id,
                delivery_ids: made.clone(),
            });
        }
        let dead = Vec::new();
        match made.is_empty() {
            true => Enqueued::NoEndpoint,
            false => Enqueued::Stored { missing, dead },
        }
    }

    /// Stores a part of an event for many endpoints, and where the next one goes on.
    pub(crate) fn fan_out(&mut self, part: &FanOutPart, now: Timestamp) -> Option<Enqueued> {
        let is_same = |f: &(FanOut, Timestamp)| f.0.event.event.id == part.event.event.id;
        let begun = self.fan_outs.iter().position(is_same);
        match part.place {
            PartPlace::First => {}
            PartPlace::Later if begun.is_some() => {}
            PartPlace::Later | PartPlace::FirstOfOutbox => return None,
        }
        let answer = self.enqueue(&part.event, None, now);
        if matches!(answer, Enqueued::Duplicate { .. }) {
            return Some(answer);
        }
        let before = begun.map(|place| self.fan_outs.remove(place).0.up_to);
        if let Some(up_to) = part.up_to.clone() {
            let event = NewEvent {
                deliveries: Vec::new(),
                ..part.event.clone()
            };
            // Two nodes may be at it: it never goes back.
            let up_to = before.map_or(up_to.clone(), |before| before.max(up_to));
            self.fan_outs.push((FanOut { event, up_to }, now));
        }
        Some(answer)
    }

    /// Whether the change applied.
    pub(crate) fn change(&mut self, place: usize, to: Change, now: Timestamp) -> bool {
        let can_wait = self.stranded(place).is_none();
        let Some(row) = self.rows.get_mut(place) else {
            return false;
        };
        let (state, idle) = (row.state, row.is_idle());
        let id = Arc::clone(&row.delivery.endpoint_id);
        match to {
            Change::Replay if state == DeliveryState::Dead && can_wait => {
                row.dead_reason = None;
                (row.delivery.attempts, row.delivery.crashes) = (0, 0);
                row.sent_at = now;
                row.wait_until(now, now);
                self.total(&id).dead -= 1;
            }
            Change::Cancel if idle => self.cancel(place, CancelReason::ByHand, now),
            Change::Purge if state.is_ended() => {
                self.rows.remove(place);
                if state == DeliveryState::Dead {
                    self.total(&id).dead -= 1;
                    self.total(&id).purged += 1;
                }
            }
            Change::Erase if !row.is_erased() => {
                row.delivery.event = Arc::new(WebhookEvent {
                    payload: Default::default(),
                    ..(*row.delivery.event).clone()
                });
                if idle {
                    self.cancel(place, CancelReason::Erased, now);
                }
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn counts(&self, id: Option<&str>) -> Counts {
        let mut counts = Counts::default();
        let wanted = |endpoint: &str| id.is_none_or(|id| id == endpoint);
        for (_, total) in self.totals.iter().filter(|(endpoint, _)| wanted(endpoint)) {
            counts.enqueued += total.enqueued;
            counts.delivered += total.delivered;
            counts.dead += total.dead;
            counts.cancelled += total.cancelled;
            counts.purged += total.purged;
        }
        for row in self
            .rows
            .iter()
            .filter(|row| wanted(&row.delivery.endpoint_id))
        {
            let mut endpoints = self.endpoints.iter();
            let closed =
                endpoints.any(|e| *e.endpoint.id == *row.delivery.endpoint_id && !e.is_open());
            match row.state {
                DeliveryState::Ready => counts.ready += 1,
                DeliveryState::Scheduled => counts.scheduled += 1,
                DeliveryState::Leased => counts.leased += 1,
                _ => {}
            }
            counts.suspended += u64::from(closed && row.is_idle());
        }
        counts
    }

    pub(crate) fn sweep(&mut self, keep: &Retention, limit: usize, now: Timestamp) -> Swept {
        let old = |since: Timestamp, keep| now.since(since) >= keep;
        let mut left = limit;
        for place in self
            .places(|row| row.is_idle() && old(row.sent_at.max(row.delivery.due_at), keep.waiting))
        {
            if left > 0 {
                left -= 1;
                self.bury(place, DeadReason::Expired, now);
            }
        }
        self.rows.retain(|row| {
            let goes = match row.state {
                DeliveryState::Dead => old(row.updated_at, keep.dead),
                state => state.is_ended() && old(row.updated_at, keep.delivered),
            };
            let goes = goes && left > 0;
            left -= usize::from(goes);
            !goes
        });
        self.log.retain(|line| {
            let goes = left > 0 && old(line.started_at, keep.log);
            left -= usize::from(goes);
            !goes
        });
        Swept {
            rows: limit - left,
            more: left == 0,
        }
    }
}

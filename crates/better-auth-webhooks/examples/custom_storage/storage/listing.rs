use std::cmp::Reverse;
use std::sync::Arc;

use better_auth_webhooks::storage::{
    Counts, DeliveryQuery, DeliveryRecord, EventQuery, EventRecord, Page, StateCounts, WorkerRecord,
};
use better_auth_webhooks::{DeliveryState, EventId, Timestamp, WebhookEvent};

use super::lists::Lists;
use super::row::Row;

/// What is asked.
impl Lists {
    /// All that match, newest first, behind the page before.
    pub(crate) fn matching(&self, query: &DeliveryQuery) -> Vec<DeliveryRecord> {
        let rows = self.rows.iter();
        let behind = rows.filter(|row| query.before.is_none_or(|id| row.record.delivery.id < id));
        let matching = behind.map(Row::record).filter(|row| query.matches(row));
        let mut found: Vec<_> = matching.collect();
        found.sort_by_key(|record| Reverse(record.delivery.id));
        found
    }

    pub(crate) fn deliveries(&self, query: &DeliveryQuery) -> Page<DeliveryRecord> {
        let mut items = self.matching(query);
        items.truncate(query.limit);
        for item in &mut items {
            let log = self.log.iter().filter(|_| query.with_attempts);
            let own = log.filter(|line| line.delivery_id == item.delivery.id);
            item.attempts = own.cloned().collect();
        }
        let last = items.last().filter(|_| items.len() == query.limit);
        let next = last.map(|record| record.delivery.id);
        Page::new(items, next)
    }

    pub(crate) fn list_events(&self, query: &EventQuery) -> Page<EventRecord, EventId> {
        let is_on_page = |id: EventId| {
            query.before.is_none_or(|before| id < before)
                && query.after.is_none_or(|after| id > after)
        };
        let events = self.events.iter();
        let matching =
            events.filter(|known| is_on_page(known.event.id) && query.matches(&known.event));
        let mut items: Vec<_> = matching.cloned().collect();
        items.sort_by_key(|record| Reverse(record.event.id));
        if query.after.is_some() {
            items.reverse();
        }
        items.truncate(query.limit);
        for item in &mut items {
            let id = item.event.id;
            let own = self.rows.iter().map(|row| &row.record);
            let mut deliveries = StateCounts::default();
            own.filter(|record| record.delivery.event.id == id)
                .for_each(|record| deliveries.add(record.state, 1));
            item.deliveries = deliveries;
            if !query.with_payload {
                item.event = Arc::new(WebhookEvent {
                    payload: Default::default(),
                    ..(*item.event).clone()
                });
            }
        }
        let last = items.last().filter(|_| items.len() == query.limit);
        let next = last.map(|record| record.event.id);
        Page::new(items, next)
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
        let rows = self.rows.iter();
        for row in rows.filter(|row| wanted(&row.record.delivery.endpoint_id)) {
            let mut endpoints = self.endpoints.iter();
            let closed = endpoints.any(|e| row.is_of(&e.endpoint.id) && !e.is_open());
            match row.record.state {
                DeliveryState::Blocked => counts.blocked += 1,
                DeliveryState::Ready => counts.ready += 1,
                DeliveryState::Scheduled => counts.scheduled += 1,
                DeliveryState::Leased => counts.leased += 1,
                _ => {}
            }
            counts.suspended += u64::from(closed && row.is_idle());
        }
        counts
    }

    /// Since when that has been due which comes first at an open endpoint and has waited longest.
    pub(crate) fn oldest_ready(&self) -> Option<Timestamp> {
        let open = self.endpoints.iter().filter(|record| record.is_open());
        let first = |id: &str| {
            let own = self.rows.iter().filter(|row| row.is_of(id));
            let ready = own.filter(|row| row.record.state == DeliveryState::Ready);
            ready.min_by_key(|row| row.sort_key())
        };
        let firsts = open.filter_map(|record| first(&record.endpoint.id));
        firsts.map(|row| row.record.delivery.due_at).min()
    }

    pub(crate) fn list_workers(&self) -> Vec<WorkerRecord> {
        let workers = self.workers.iter().map(|(id, worker)| {
            let leased = self.places_of(|row| row.is_leased_to(id)).len() as u64;
            WorkerRecord::new(id.clone(), worker.seen_at, leased)
        });
        let mut workers: Vec<_> = workers.collect();
        workers.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        workers
    }
}

use std::collections::BTreeMap;

use webhooks_core::storage::{
    Counts, DeliveryQuery, DeliveryRecord, EventQuery, MAX_PAGE, StateCounts,
};
use webhooks_core::{DeliveryId, DeliveryState, EventId, WorkerId};

use super::Run;
use crate::model::ModelRow;
use crate::operation::{ENDPOINTS, WORKERS};

impl Run {
    /// Compares everything that can be seen of the storage with the model.
    pub(super) async fn compare(&mut self) {
        let listed = self.listed().await;
        self.model
            .settle_places(|row| listed[&row.id].state != DeliveryState::Blocked);
        let counts = waiting_as_ready(self.bench.counts(None).await);
        assert_eq!(counts, self.model.counts(None));
        for id in ENDPOINTS {
            let counts = waiting_as_ready(self.bench.counts(Some(id)).await);
            let expected = self.model.counts(Some(id));
            assert_eq!(
                (
                    counts.ready,
                    counts.blocked,
                    counts.leased,
                    counts.suspended
                ),
                (
                    expected.ready,
                    expected.blocked,
                    expected.leased,
                    expected.suspended
                ),
                "of {id}"
            );
            self.compare_endpoint(id).await;
        }
        for worker in WORKERS {
            self.compare_leases(worker).await;
        }
        self.compare_rows(&listed);
        self.check_orders(&listed);
        self.compare_events().await;
    }

    async fn compare_leases(&self, worker: &str) {
        let id = WorkerId::named(worker);
        let told = self.storage().leased_by(&id, None, MAX_PAGE).await.unwrap();
        let told: Vec<_> = told.iter().map(|l| (l.delivery_id, l.token)).collect();
        let leased = |row: &&ModelRow| row.state == DeliveryState::Leased && row.worker == worker;
        let rows = self.model.rows.iter().filter(leased);
        let mut expected: Vec<_> = rows.map(|row| (row.id, row.token)).collect();
        expected.sort_unstable();
        assert_eq!(told, expected, "of {worker}");
    }

    async fn compare_endpoint(&self, id: &str) {
        let read = self.storage().get_endpoint(id).await.unwrap();
        let expected = self.model.endpoints.get(id).filter(|e| !e.deleted);
        assert_eq!(read.is_some(), expected.is_some(), "whether {id} exists");
        let Some(expected) = expected else {
            return;
        };
        let record = self.bench.record(id).await;
        assert_eq!(record.endpoint.enabled, expected.enabled, "of {id}");
        assert_eq!(record.gate, expected.gate, "of {id}");
    }

    async fn listed(&self) -> BTreeMap<DeliveryId, DeliveryRecord> {
        let query = DeliveryQuery {
            limit: MAX_PAGE,
            ..DeliveryQuery::default()
        };
        let listed = self.bench.list(&query).await;
        let count = listed.len();
        let listed: BTreeMap<_, _> = (listed.into_iter())
            .map(|record| (record.delivery.id, record))
            .collect();
        assert_eq!(listed.len(), count, "each is listed once");
        let mut known: Vec<_> = self.model.rows.iter().map(|row| row.id).collect();
        known.sort_unstable();
        assert!(known.iter().eq(listed.keys()), "those that are there");
        listed
    }

    fn compare_rows(&self, listed: &BTreeMap<DeliveryId, DeliveryRecord>) {
        for row in &self.model.rows {
            let record = &listed[&row.id];
            assert_eq!(
                (
                    due_or_not(record.state),
                    record.dead_reason,
                    record.cancel_reason
                ),
                (self.state_of(row), row.dead_reason, row.cancel_reason),
                "of {}",
                row.id
            );
            assert_eq!((record.last_status, record.last_failure), row.last);
            let delivery = &record.delivery;
            assert_eq!(delivery.order, row.order);
            assert_eq!(
                (
                    delivery.attempts,
                    delivery.crashes,
                    delivery.event.payload.is_empty()
                ),
                (row.attempts, row.crashes, row.erased)
            );
        }
    }

    fn state_of(&self, row: &ModelRow) -> DeliveryState {
        match self.model.is_blocked(row) {
            true => DeliveryState::Blocked,
            false => row.state,
        }
    }

    /// Of each order one is ready, scheduled or leased at most, whatever the model says.
    fn check_orders(&self, listed: &BTreeMap<DeliveryId, DeliveryRecord>) {
        let is_head = |row: &ModelRow| {
            let state = listed[&row.id].state;
            !state.is_ended() && state != DeliveryState::Blocked
        };
        for row in self.model.rows.iter().filter(|row| is_head(row)) {
            let mut others = self.model.rows.iter().filter(|other| other.id != row.id);
            let other = others.find(|other| other.is_in_order_with(row) && is_head(other));
            assert!(other.is_none(), "two heads: {row:?} and {other:?}");
        }
    }

    async fn compare_events(&self) {
        let query = EventQuery {
            limit: MAX_PAGE,
            with_payload: true,
            ..EventQuery::default()
        };
        let listed = self.storage().events(&query).await.unwrap().items;
        let listed: BTreeMap<EventId, _> = (listed.into_iter())
            .map(|record| (record.event.id, record))
            .collect();
        let mut known: Vec<_> = self.model.events.iter().map(|event| event.id()).collect();
        known.sort_unstable();
        assert!(known.iter().eq(listed.keys()), "the events that are there");
        for event in &self.model.events {
            let record = &listed[&event.id()];
            let mut states = StateCounts::default();
            for row in &self.model.rows {
                if row.event == event.id() {
                    states.add(self.state_of(row), 1);
                }
            }
            let mut deliveries = record.deliveries;
            deliveries.ready += std::mem::take(&mut deliveries.scheduled);
            assert_eq!(deliveries, states, "of {}", event.id());
            let bytes = if event.erased {
                0
            } else {
                event.sent.payload.len()
            };
            let payload = (record.event.payload.len(), record.payload_bytes);
            assert_eq!(payload, (bytes, bytes), "of {}", event.id());
            assert_eq!(record.payload_erased, event.erased);
            assert_eq!(record.priority, event.priority);
        }
    }
}

/// Scheduled as ready: when the one becomes the other is the storage's choice.
const fn due_or_not(state: DeliveryState) -> DeliveryState {
    match state {
        DeliveryState::Scheduled => DeliveryState::Ready,
        state => state,
    }
}

fn waiting_as_ready(mut counts: Counts) -> Counts {
    counts.ready += std::mem::take(&mut counts.scheduled);
    counts
}

use std::collections::BTreeMap;

use webhooks_core::storage::{Counts, DeliveryQuery, MAX_PAGE};
use webhooks_core::{DeliveryState, WorkerId};

use super::Run;
use crate::model::ModelRow;
use crate::operation::{ENDPOINTS, WORKERS};

impl Run {
    /// Compares everything that can be seen of the storage with the model.
    pub(super) async fn compare(&self) {
        let counts = waiting_as_ready(self.bench.counts(None).await);
        assert_eq!(counts, self.model.counts(None));
        for id in ENDPOINTS {
            let counts = waiting_as_ready(self.bench.counts(Some(id)).await);
            let expected = self.model.counts(Some(id));
            assert_eq!(
                (counts.ready, counts.leased, counts.suspended),
                (expected.ready, expected.leased, expected.suspended),
                "of {id}"
            );
            self.compare_endpoint(id).await;
        }
        for worker in WORKERS {
            self.compare_leases(worker).await;
        }
        self.compare_rows().await;
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

    async fn compare_rows(&self) {
        let query = DeliveryQuery {
            limit: MAX_PAGE,
            ..DeliveryQuery::default()
        };
        let mut listed: BTreeMap<_, _> = BTreeMap::new();
        for record in self.bench.list(&query).await {
            listed.insert(record.delivery.id, record);
        }
        assert_eq!(listed.len(), self.model.rows.len());
        for row in &self.model.rows {
            let record = listed.get(&row.id).unwrap();
            let state = match record.state {
                DeliveryState::Scheduled => DeliveryState::Ready,
                state => state,
            };
            assert_eq!(
                (state, record.dead_reason, record.cancel_reason),
                (row.state, row.dead_reason, row.cancel_reason)
            );
            let delivery = &record.delivery;
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
}

fn waiting_as_ready(mut counts: Counts) -> Counts {
    counts.ready += std::mem::take(&mut counts.scheduled);
    counts
}

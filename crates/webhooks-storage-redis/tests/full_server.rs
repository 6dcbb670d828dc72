//! On a server without memory everything works that frees some, stops work or goes on with what was
//! accepted; what adds work is refused before it has changed anything.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use fred::prelude::*;
use fred::types::{ClusterHash, CustomCommand};
use support::server::Server;
use support::work::{claim, endpoint, event, now, settlement};
use webhooks_core::storage::spi::{EndpointGate, GateChange, NewEvent, SettleAs, Settled};
use webhooks_core::storage::{
    Change, Deleted, DeliveryQuery, DisabledBy, Expected, Retention, Saved, WebhookStorage,
};
use webhooks_core::{
    AttemptRecord, DeadReason, DeliveryState, Timestamp, WebhookDelivery, WebhookEndpoint,
    WebhookError, WorkerId,
};
use webhooks_storage_redis::RedisStorage;

/// A storage with some of everything, on a server that has become full.
struct Full {
    storage: RedisStorage,
    admin: Client,
    at: Timestamp,
    worker: WorkerId,
    server: Server,
}

impl Full {
    async fn new(partitions: usize) -> Self {
        let server = Server::start(&["--enable-debug-command", "yes"]).await;
        let storage = support::storage(&server.url(), "webhooks", partitions).await;
        let (at, worker) = (now(&storage).await, WorkerId::named("worker_a"));
        for id in ["a", "b", "c", "d"] {
            storage.save_endpoint(&endpoint(id)).await.unwrap();
        }
        storage.beat(Some(&worker), Some(at)).await.unwrap();
        let dead = event(&["a"], at);
        storage.enqueue(&[dead], None, at).await.unwrap();
        let taken = storage.claim(&claim(&worker, at, 1)).await.unwrap();
        let reason = DeadReason::AttemptsExhausted;
        let outcome = [settlement(&taken.deliveries[0], SettleAs::Dead { reason })];
        storage.settle(&worker, &outcome, at).await.unwrap();
        let due_at = at.after(Duration::from_secs(60));
        let later = |id| NewEvent {
            due_at,
            ..event(&[id], at)
        };
        let ready = || event(&["a", "b", "c", "d"], at);
        let events = [later("a"), later("b"), ready(), ready(), ready()];
        storage.enqueue(&events, None, at).await.unwrap();
        let admin = support::client(&server.url()).await;
        admin.config_set("maxmemory", "1mb").await.unwrap();
        Self {
            storage,
            admin,
            at,
            worker,
            server,
        }
    }

    /// Stands for all that the server keeps.
    async fn digest(&self) -> String {
        let debug = CustomCommand::new_static("DEBUG", ClusterHash::FirstKey, false);
        self.admin.custom(debug, vec!["DIGEST"]).await.unwrap()
    }

    async fn change(&self, query: DeliveryQuery, to: Change) -> webhooks_core::Result<usize> {
        let changed = self.storage.change(&query, to, 100, self.at).await?;
        Ok(changed.changed)
    }
}

fn of(endpoint: &str) -> DeliveryQuery {
    DeliveryQuery::of_endpoint(endpoint)
}

#[tokio::test]
async fn what_adds_work_is_refused_before_it_has_changed_anything() {
    for partitions in [1, 3] {
        let full = Full::new(partitions).await;
        let before = full.digest().await;
        let (storage, at) = (&full.storage, full.at);
        let keyed = NewEvent {
            idempotency_key: Some("key".into()),
            ..event(&["a", "b", "c", "d"], at)
        };
        for sent in [event(&["a"], at), keyed] {
            let refused = storage.enqueue(&[sent], None, at).await.unwrap_err();
            assert!(matches!(refused, WebhookError::Overloaded(_)), "{refused}");
            assert_eq!(refused.outcome_unknown(), partitions > 1);
        }
        let new = storage.save_endpoint(&endpoint("new")).await.unwrap_err();
        let replay = full.change(DeliveryQuery::default(), Change::Replay);
        for refused in [new, replay.await.unwrap_err()] {
            assert!(refused.is_transient(), "{refused}");
        }
        assert_eq!(full.digest().await, before, "{partitions}");
    }
}

#[tokio::test]
async fn what_stops_work_works() {
    for partitions in [1, 3] {
        let full = Full::new(partitions).await;
        let (storage, at) = (&full.storage, full.at);
        for change in [
            GateChange::Hold { until: at },
            GateChange::LimitLeased(Some(1)),
            GateChange::FailingSince(at),
            GateChange::Recovered,
            GateChange::Disable(DisabledBy::Operator),
            GateChange::Enable,
            GateChange::Pause,
        ] {
            let gates = ["a", "b", "c", "d"].map(|id| EndpointGate {
                endpoint_id: id.into(),
                epoch: None,
                change,
            });
            storage.set_gates(&gates, at).await.unwrap();
        }
        let paused = storage.endpoint_record("c").await.unwrap().unwrap();
        assert!(paused.gate.paused);
        let disabled = WebhookEndpoint {
            enabled: false,
            ..endpoint("c")
        };
        let expected = Expected::Revision(paused.definition_revision);
        let saved = storage.save_definition(&disabled, expected).await.unwrap();
        let Saved::Stored(revision) = saved else {
            panic!("{saved:?}");
        };
        let rotated = WebhookEndpoint {
            secret: "another that is not real".into(),
            ..disabled
        };
        let saved = storage.save_secrets(&rotated, revision).await.unwrap();
        assert!(matches!(saved, Saved::Stored(_)), "{saved:?}");
        let other_tenant = WebhookEndpoint {
            tenant: Some("t".into()),
            ..endpoint("d")
        };
        storage.save_endpoint(&other_tenant).await.unwrap();
        let deleted = storage.delete_endpoint("b", Expected::Any, at).await;
        assert_eq!(deleted.unwrap(), Deleted::Deleted);
        assert_eq!(full.change(of("a"), Change::Cancel).await.unwrap(), 4);
        let counts = storage.counts(None).await.unwrap();
        assert_eq!((counts.cancelled, counts.waiting()), (11, 3), "{counts:?}");
        // Nodes hear of all of it.
        let changes = storage.endpoints_since(0, 10).await.unwrap();
        let gone = changes.records.iter().find(|r| r.endpoint.id == "b");
        assert!(gone.is_some_and(|record| record.deleted));
    }
}

#[tokio::test]
async fn what_frees_memory_works() {
    for partitions in [1, 3] {
        let full = Full::new(partitions).await;
        let all = DeliveryQuery::default;
        assert_eq!(full.change(all(), Change::Erase).await.unwrap(), 15);
        assert_eq!(full.change(all(), Change::Purge).await.unwrap(), 15);
        assert_eq!(full.storage.counts(None).await.unwrap().waiting(), 0);
        let deleted = full.storage.delete_endpoint("b", Expected::Any, full.at);
        assert_eq!(deleted.await.unwrap(), Deleted::Deleted);
        let later = full.at.after(Duration::from_secs(40 * 86_400));
        let retention = Retention::default();
        full.storage.sweep(&retention, 100, later).await.unwrap();
        assert_eq!(
            full.storage
                .endpoints_since(0, 10)
                .await
                .unwrap()
                .records
                .len(),
            3
        );
    }
}

fn attempt(of: &WebhookDelivery, at: Timestamp) -> AttemptRecord {
    let mut attempt = AttemptRecord::new(of.id, 1, at);
    attempt.duration = Duration::from_millis(1);
    attempt.status = Some(200);
    attempt.response = Bytes::from_static(b"ok");
    attempt
}

#[tokio::test]
async fn what_was_accepted_goes_out() {
    for partitions in [1, 3] {
        let full = Full::new(partitions).await;
        // A process that starts now works, too.
        let url = full.server.url();
        let storage = support::storage(&url, "webhooks", partitions).await;
        let (worker, at) = (WorkerId::named("worker_b"), full.at);
        storage.beat(Some(&worker), Some(at)).await.unwrap();
        let taken = storage.claim(&claim(&worker, at, 100)).await.unwrap();
        assert_eq!(taken.deliveries.len(), 12);
        let retry = SettleAs::Retry {
            at: at.after(Duration::from_secs(5)),
        };
        let ways = [
            SettleAs::Delivered,
            retry,
            SettleAs::Release { at },
            SettleAs::Dead {
                reason: DeadReason::PermanentFailure,
            },
        ];
        let outcomes: Vec<_> = taken
            .deliveries
            .iter()
            .zip(ways.into_iter().cycle())
            .map(|(delivery, way)| {
                let mut outcome = settlement(delivery, way);
                outcome.attempt = Some(attempt(delivery, at));
                outcome
            })
            .collect();
        let settled = storage.settle(&worker, &outcomes, at).await.unwrap();
        assert!(
            settled.iter().all(|s| *s == Settled::Applied),
            "{settled:?}"
        );
        // What a dead worker holds is taken back.
        let taken = storage.claim(&claim(&full.worker, at, 100)).await.unwrap();
        assert_eq!(taken.deliveries.len(), 3);
        let mut rescued = 0;
        for seconds in [8, 16] {
            let later = at.after(Duration::from_secs(seconds));
            rescued += storage
                .beat(Some(&worker), Some(later))
                .await
                .unwrap()
                .rescued;
        }
        assert_eq!(rescued, 3);
        let dead = DeliveryQuery {
            states: vec![DeliveryState::Dead],
            ..DeliveryQuery::default()
        };
        assert_eq!(full.change(dead, Change::Purge).await.unwrap(), 4);
    }
}

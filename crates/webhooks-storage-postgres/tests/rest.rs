//! What claims find after one that was slow, when they look only at what is known.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::time::Duration;

use support::events::{claim, endpoint, event};
use support::{client, drop_schema, fresh_schema, storage};
use webhooks_core::storage::{
    Claim, ClaimRoom, EndpointGate, GateChange, NewEvent, WebhookStorage,
};
use webhooks_core::{Priority, Timestamp, WebhookDelivery, WorkerId};
use webhooks_storage_postgres::PostgresStorage;

/// Claims while another transaction holds the queue for longer than a claim may take to be quick.
async fn claim_slowly(storage: &PostgresStorage, claim: &Claim<'_>) -> Vec<WebhookDelivery> {
    let schema = storage.schema();
    let mut other = client().await;
    let transaction = other.transaction().await.unwrap();
    let lock = format!("LOCK TABLE \"{schema}\".webhook_queue IN ACCESS EXCLUSIVE MODE");
    transaction.batch_execute(&lock).await.unwrap();
    let release = async {
        let waiting = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted \
             AND relation = '\"{schema}\".webhook_queue'::regclass"
        );
        while transaction
            .query_one(&waiting, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 0
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        transaction.commit().await.unwrap();
    };
    let (claimed, ()) = tokio::join!(storage.claim(claim), release);
    claimed.unwrap().deliveries
}

async fn send(storage: &PostgresStorage, endpoint_id: &str, count: usize, now: Timestamp) {
    storage.save_endpoint(&endpoint(endpoint_id)).await.unwrap();
    let events: Vec<_> = (0..count).map(|_| event(endpoint_id, b"{}", now)).collect();
    storage.enqueue(&events, None, now).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_had_no_room_is_not_forgotten() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let now = storage.beat(None, None).await.unwrap().now;
    send(&storage, "a", 2, now).await;
    send(&storage, "b", 1, now).await;
    let worker = WorkerId::named("worker_a");
    let usual = claim(&worker, 100, now);
    let room = [ClaimRoom {
        endpoint_id: "a".into(),
        deliveries: 0,
    }];
    let without_room = Claim {
        room: &room,
        ..usual
    };
    let first = claim_slowly(&storage, &without_room).await;
    assert_eq!(first.len(), 1);
    let rest = storage.claim(&usual).await.unwrap().deliveries;
    assert_eq!(rest.len(), 2);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn an_endpoint_without_a_token_is_not_forgotten() {
    let schema = fresh_schema();
    // Another node takes the one token.
    let (here, there) = (storage(&schema).await, storage(&schema).await);
    let now = here.beat(None, None).await.unwrap().now;
    send(&here, "a", 2, now).await;
    let worker = WorkerId::named("worker_a");
    let limited = Claim {
        rate_limit: Some(webhooks_core::RateLimitConfig {
            requests_per_second: 1,
            burst_size: 1,
        }),
        ..claim(&worker, 100, now)
    };
    assert_eq!(there.claim(&limited).await.unwrap().deliveries.len(), 1);
    assert!(claim_slowly(&here, &limited).await.is_empty());
    let later = Claim {
        now: now.after(Duration::from_secs(1)),
        ..limited
    };
    assert_eq!(here.claim(&later).await.unwrap().deliveries.len(), 1);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn an_endpoint_whose_hold_ends_is_not_forgotten() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let now = storage.beat(None, None).await.unwrap().now;
    let later = now.after(Duration::from_secs(30));
    send(&storage, "a", 1, now).await;
    let hold = EndpointGate {
        endpoint_id: "a".into(),
        epoch: None,
        change: GateChange::Hold { until: later },
    };
    storage.set_gates(&[hold], now).await.unwrap();
    let worker = WorkerId::named("worker_a");
    let first = claim_slowly(&storage, &claim(&worker, 100, now)).await;
    assert!(first.is_empty());
    let opened = storage.claim(&claim(&worker, 100, later)).await.unwrap();
    assert_eq!(opened.deliveries.len(), 1);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn what_another_process_scheduled_comes_due_during_a_rest() {
    let schema = fresh_schema();
    let (here, there) = (storage(&schema).await, storage(&schema).await);
    let now = here.beat(None, None).await.unwrap().now;
    send(&here, "a", 2, now).await;
    there.save_endpoint(&endpoint("b")).await.unwrap();
    let worker = WorkerId::named("worker_a");
    let first = claim_slowly(&here, &claim(&worker, 100, now)).await;
    assert_eq!(first.len(), 2);
    let due = now.after(Duration::from_secs(5));
    // Below what is known of an endpoint, and of one that is not known.
    let events = ["a", "b"].map(|id| NewEvent {
        priority: Priority::Critical,
        due_at: due,
        ..event(id, b"{}", now)
    });
    there.enqueue(&events, None, now).await.unwrap();
    let claimed = here.claim(&claim(&worker, 100, due)).await.unwrap();
    assert_eq!(claimed.deliveries.len(), 2);
    drop_schema(&schema).await;
}

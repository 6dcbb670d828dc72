//! Payloads that are erased while their deliveries move.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use support::events::{claim, endpoint, event, settled};
use support::{client, drop_schema, fresh_schema, storage};
use webhooks_core::storage::spi::{SettleAs, Settled};
use webhooks_core::storage::{Change, DeliveryQuery, WebhookStorage};
use webhooks_core::{DeliveryState, Timestamp, WebhookDelivery, WorkerId};
use webhooks_storage_postgres::PostgresStorage;

/// A delivery that this worker holds.
async fn leased(storage: &PostgresStorage, worker: &WorkerId) -> (WebhookDelivery, Timestamp) {
    let now = storage.beat(Some(worker), None).await.unwrap().now;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let sent = event("a", b"{}", now);
    storage.enqueue(&[sent], None, now).await.unwrap();
    let claimed = storage.claim(&claim(worker, 1, now)).await.unwrap();
    (claimed.deliveries.into_iter().next().unwrap(), now)
}

/// Makes a call that has to wait for what another transaction does to the queue.
async fn beside<T>(storage: &PostgresStorage, change: &str, call: impl Future<Output = T>) -> T {
    let schema = storage.schema();
    let mut other = client().await;
    let transaction = other.transaction().await.unwrap();
    let change = format!("UPDATE \"{schema}\".webhook_queue SET {change}");
    assert_eq!(transaction.execute(&change, &[]).await.unwrap(), 1);
    let release = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
            WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))";
        while transaction
            .query_one(waiting, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        transaction.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(call, release);
    answer
}

#[tokio::test]
async fn a_retry_that_waits_for_an_erasure_is_cancelled() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let worker = WorkerId::named("worker_a");
    let (delivery, now) = leased(&storage, &worker).await;
    let outcomes = [settled(&delivery, SettleAs::Retry { at: now })];
    let settle = storage.settle(&worker, &outcomes, now);
    let answer = beside(&storage, "is_erased = true", settle).await.unwrap();
    assert_eq!(answer, [Settled::Cancelled]);
    let counts = storage.counts(None).await.unwrap();
    assert_eq!((counts.cancelled, counts.leased), (1, 0));
    drop_schema(&schema).await;
}

#[tokio::test]
async fn what_goes_back_meanwhile_is_erased_too() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let worker = WorkerId::named("worker_a");
    let (delivery, now) = leased(&storage, &worker).await;
    let all = DeliveryQuery::default();
    let erase = storage.change(&all, Change::Erase, 10, now);
    let goes_back = "status = 'pending', worker = NULL";
    let erased = beside(&storage, goes_back, erase).await.unwrap();
    assert_eq!(erased.changed, 1);
    let found = storage.deliveries(&all).await.unwrap().items;
    let record = found.first().unwrap();
    assert_eq!(record.delivery.id, delivery.id);
    assert!(record.delivery.event.payload.is_empty());
    assert_eq!(record.state, DeliveryState::Cancelled);
    drop_schema(&schema).await;
}

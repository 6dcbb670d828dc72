//! What is scheduled comes due: made ready by the claim that finds it so, whoever scheduled it.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::time::Duration;

use support::events::{claim, endpoint, event, settled};
use support::{client, drop_schema, fresh_schema, storage};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{NewEvent, SettleAs};
use webhooks_core::{DeliveryId, Priority, Timestamp, WorkerId};
use webhooks_storage_postgres::PostgresStorage;

const DELAY: Duration = Duration::from_secs(5);

/// Two processes that claim on one schema, in which endpoint `a` is registered, and their time.
async fn two_nodes(schema: &str) -> (PostgresStorage, PostgresStorage, Timestamp) {
    let (here, there) = (storage(schema).await, storage(schema).await);
    let now = here.beat(None, None).await.unwrap().now;
    here.save_endpoint(&endpoint("a")).await.unwrap();
    (here, there, now)
}

fn delayed(now: Timestamp, delay: Duration, priority: Priority) -> NewEvent {
    NewEvent {
        priority,
        due_at: now.after(delay),
        ..event("a", b"{}", now)
    }
}

/// The deliveries that a claim takes at most `limit` of, and when it says that more are due.
async fn take(
    storage: &PostgresStorage,
    limit: usize,
    now: Timestamp,
) -> (Vec<DeliveryId>, Option<Timestamp>) {
    let worker = WorkerId::named("worker");
    let claimed = storage.claim(&claim(&worker, limit, now)).await.unwrap();
    let ids = claimed.deliveries.iter().map(|d| d.id).collect();
    (ids, claimed.next_due)
}

#[tokio::test]
async fn what_another_process_scheduled_is_claimed_when_it_is_due() {
    let schema = fresh_schema();
    let (here, there, now) = two_nodes(&schema).await;
    assert_eq!(take(&here, 10, now).await, (vec![], None));
    let event = delayed(now, DELAY, Priority::Normal);
    let (id, due) = (event.deliveries[0].id, event.due_at);
    there.enqueue(&[event], None, now).await.unwrap();
    let before = due.before(Duration::from_millis(1));
    assert_eq!(take(&here, 10, before).await, (vec![], Some(due)));
    assert_eq!(take(&here, 10, due).await, (vec![id], None));
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_claim_that_knows_of_nothing_scheduled_finds_what_is_due() {
    let schema = fresh_schema();
    let (here, there, now) = two_nodes(&schema).await;
    assert_eq!(take(&here, 10, now).await, (vec![], None));
    let event = delayed(now, DELAY, Priority::Normal);
    let id = event.deliveries[0].id;
    there.enqueue(&[event], None, now).await.unwrap();
    let later = now.after(2 * DELAY);
    assert_eq!(take(&here, 10, later).await, (vec![id], None));
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_retry_of_another_process_is_claimed_when_it_is_due() {
    let schema = fresh_schema();
    let (here, there, now) = two_nodes(&schema).await;
    let sent = event("a", b"{}", now);
    let id = sent.deliveries[0].id;
    there.enqueue(&[sent], None, now).await.unwrap();
    let worker = WorkerId::named("other");
    let leased = there.claim(&claim(&worker, 1, now)).await.unwrap();
    assert_eq!(take(&here, 10, now).await, (vec![], None));
    let due = now.after(DELAY);
    let retry = settled(&leased.deliveries[0], SettleAs::Retry { at: due });
    there.settle(&worker, &[retry], now).await.unwrap();
    assert_eq!(take(&here, 10, due).await, (vec![id], None));
    drop_schema(&schema).await;
}

#[tokio::test]
async fn what_is_due_comes_before_less_urgent_work_that_waits() {
    let schema = fresh_schema();
    let (here, there, now) = two_nodes(&schema).await;
    let waiting: Vec<_> = (0..20).map(|_| event("a", b"{}", now)).collect();
    here.enqueue(&waiting, None, now).await.unwrap();
    let (taken, _) = take(&here, 5, now).await;
    assert_eq!(taken.len(), 5);
    // One that the process schedules itself, and one that it does not know of.
    for (node, delay) in [(&here, DELAY), (&there, 2 * DELAY)] {
        let urgent = delayed(now, delay, Priority::Critical);
        let (id, due) = (urgent.deliveries[0].id, urgent.due_at);
        node.enqueue(&[urgent], None, now).await.unwrap();
        let (taken, _) = take(&here, 5, due).await;
        assert_eq!((taken.len(), taken[0]), (5, id));
    }
    drop_schema(&schema).await;
}

#[tokio::test]
async fn more_than_a_claim_makes_ready_at_once_is_claimed_by_those_that_follow() {
    let schema = fresh_schema();
    let (here, there, now) = two_nodes(&schema).await;
    assert_eq!(take(&here, 10, now).await, (vec![], None));
    let events: Vec<_> = (0..2_500)
        .map(|_| delayed(now, DELAY, Priority::Normal))
        .collect();
    there.enqueue(&events, None, now).await.unwrap();
    let late = now.after(DELAY + Duration::from_secs(60));
    let (mut taken, mut next_due, mut claims) = (0, Some(late), 0);
    // A process claims again for as long as it is told that something is due.
    while next_due.is_some_and(|at| at <= late) {
        let (ids, next) = take(&here, 2_000, late).await;
        (taken, next_due, claims) = (taken + ids.len(), next, claims + 1);
        assert!(claims <= 5, "{taken} after {claims} claims");
    }
    assert_eq!(taken, 2_500);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn what_is_due_and_in_other_hands_holds_nothing_up() {
    let schema = fresh_schema();
    let (here, there, now) = two_nodes(&schema).await;
    let late = delayed(now, DELAY, Priority::Normal);
    there.enqueue(&[late], None, now).await.unwrap();
    // As another process that makes it ready.
    let mut other = client().await;
    let transaction = other.transaction().await.unwrap();
    let lock = format!("SELECT FROM \"{schema}\".webhook_queue FOR UPDATE");
    transaction.batch_execute(&lock).await.unwrap();
    let sent = event("a", b"{}", now);
    let id = sent.deliveries[0].id;
    there.enqueue(&[sent], None, now).await.unwrap();
    let due = now.after(DELAY);
    assert_eq!(take(&here, 10, due).await, (vec![id], Some(due)));
    transaction.commit().await.unwrap();
    assert_eq!(take(&here, 10, due).await.0.len(), 1);
    drop_schema(&schema).await;
}

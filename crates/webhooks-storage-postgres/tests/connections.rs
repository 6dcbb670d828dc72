//! What sticks to a connection, or to a statement of it, costs no call.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Pool;
use support::events::{claim, delivered, endpoint, event};
use support::{client, drop_schema, fresh_schema, pool};
use webhooks_core::storage::{Change, Deleted, DeliveryQuery, Expected, WebhookStorage};
use webhooks_core::{DeliveryId, DeliveryState, WorkerId};
use webhooks_storage_postgres::PostgresStorage;

async fn storage_of(pool: &Pool, schema: &str) -> PostgresStorage {
    let builder = PostgresStorage::builder(pool.clone()).schema(schema);
    builder.connect().await.unwrap()
}

/// One round of all that a node does. It fails on any error; what it delivered.
async fn round(storage: &PostgresStorage, worker: &WorkerId) -> Vec<DeliveryId> {
    let now = storage.beat(Some(worker), None).await.unwrap().now;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let sent = [event("a", b"{}", now), event("a", b"{}", now)];
    storage.enqueue(&sent, None, now).await.unwrap();
    let claimed = storage.claim(&claim(worker, 100, now)).await.unwrap();
    let outcomes: Vec<_> = claimed.deliveries.iter().map(delivered).collect();
    storage.settle(worker, &outcomes, now).await.unwrap();
    let all = DeliveryQuery::default();
    storage.deliveries(&all).await.unwrap();
    storage.change(&all, Change::Replay, 10, now).await.unwrap();
    storage.counts(None).await.unwrap();
    storage.set_gates(&[pause("a")], now).await.unwrap();
    storage.endpoints_since(0, 10).await.unwrap();
    storage.read_outbox(10, 1 << 20).await.unwrap();
    storage.reencrypt().await.unwrap_err();
    outcomes.iter().map(|outcome| outcome.delivery_id).collect()
}

fn pause(id: &str) -> webhooks_core::storage::spi::EndpointGate {
    webhooks_core::storage::spi::EndpointGate {
        endpoint_id: id.into(),
        epoch: None,
        change: webhooks_core::storage::spi::GateChange::Resume,
    }
}

/// Does something to the only connection before each of a node's calls.
async fn after(spoil: &str) {
    let schema = fresh_schema();
    let pool = pool(1);
    let storage = storage_of(&pool, &schema).await;
    let worker = WorkerId::named("worker_a");
    assert_eq!(round(&storage, &worker).await.len(), 2);
    let now = storage.beat(Some(&worker), None).await.unwrap().now;
    let all = DeliveryQuery::default();
    macro_rules! spoilt {
        ($call:expr) => {{
            // A script that ends in an error leaves what it should.
            let spoilt = pool.get().await.unwrap().batch_execute(spoil).await;
            assert!(spoilt.is_ok() || spoil.contains("1/0"), "{spoilt:?}");
            let answer = $call.await;
            assert!(answer.is_ok(), "after {spoil}: {answer:?}");
            answer.unwrap()
        }};
    }
    spoilt!(storage.beat(Some(&worker), None));
    spoilt!(storage.save_endpoint(&endpoint("a")));
    spoilt!(storage.get_endpoint("a"));
    spoilt!(storage.enqueue(&[event("a", b"{}", now)], None, now));
    let claimed = spoilt!(storage.claim(&claim(&worker, 10, now)));
    assert_eq!(claimed.deliveries.len(), 1, "it was stored");
    let outcome = delivered(claimed.deliveries.first().unwrap());
    spoilt!(storage.settle(&worker, &[outcome], now));
    spoilt!(storage.set_gates(&[pause("a")], now));
    spoilt!(storage.deliveries(&all));
    spoilt!(storage.change(&all, Change::Erase, 10, now));
    spoilt!(storage.counts(None));
    let deleted = spoilt!(storage.delete_endpoint("a", Expected::Any, now));
    assert_eq!(deleted, Deleted::Deleted);
    let counts = storage.counts(None).await.unwrap();
    assert_eq!(counts.delivered, 3, "nothing was lost or done twice");
    // Another connection sees it: none of it was left in somebody's transaction.
    let of_another = storage_of(&support::pool(1), &schema).await;
    assert_eq!(of_another.counts(None).await.unwrap().delivered, 3);
    drop((storage, of_another));
    pool.close();
    drop_schema(&schema).await;
}

#[tokio::test]
async fn discarded_statements_are_prepared_again() {
    after("DISCARD ALL").await;
}

#[tokio::test]
async fn a_connection_in_an_aborted_transaction_is_left() {
    after("BEGIN; SELECT 1/0").await;
}

#[tokio::test]
async fn a_transaction_that_somebody_left_open_keeps_nothing_back() {
    after("BEGIN").await;
}

#[tokio::test]
async fn a_read_only_transaction_that_somebody_left_open_refuses_nothing() {
    after("BEGIN READ ONLY; SELECT 1").await;
}

#[tokio::test]
async fn a_serializable_transaction_that_somebody_left_open_refuses_nothing() {
    after("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1").await;
}

#[tokio::test]
async fn names_of_statements_that_somebody_else_took_are_given_up() {
    // What a pooler makes of them that gives several clients one session. None of ours takes nine
    // arguments.
    let take = "DO $$ DECLARE name text; BEGIN \
        FOR name IN SELECT p.name FROM pg_prepared_statements p WHERE p.name LIKE 's%' LOOP \
            EXECUTE format('DEALLOCATE %I', name); \
            EXECUTE format('PREPARE %I (int, int, int, int, int, int, int, int, int) \
                AS SELECT $9', name); \
        END LOOP; END $$";
    after(take).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_type_of_a_column_costs_no_call() {
    let schema = fresh_schema();
    let pool = pool(4);
    let storage = Arc::new(storage_of(&pool, &schema).await);
    let over = Arc::new(AtomicBool::new(false));
    let nodes: Vec<_> = (0..4)
        .map(|n| {
            let (storage, over) = (Arc::clone(&storage), Arc::clone(&over));
            tokio::spawn(async move {
                let worker = WorkerId::named(&format!("worker_{n}"));
                let (mut delivered, mut rounds) = (Vec::new(), 0);
                while !over.load(Ordering::Relaxed) || rounds < 3 {
                    delivered.extend(round(&storage, &worker).await);
                    rounds += 1;
                }
                (delivered, rounds)
            })
        })
        .collect();
    let admin = client().await;
    // No column that a view shows changes its type.
    let drop_view = format!("DROP VIEW \"{schema}\".webhook_deliveries");
    admin.batch_execute(&drop_view).await.unwrap();
    for n in 0..4 {
        for (table, to) in [
            ("queue", "varchar"),
            ("events", "varchar"),
            ("outbox", "varchar"),
        ] {
            let sql = format!(
                "ALTER TABLE \"{schema}\".webhook_{table} ALTER COLUMN event_type TYPE {to}({})",
                300 + n
            );
            admin.batch_execute(&sql).await.unwrap();
        }
        // Each change meets statements that were prepared after the one before.
        storage.counts(None).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let (mut all, mut rounds) = (Vec::new(), 1);
    for node in nodes {
        let (delivered, of_it) = node.await.unwrap();
        all.extend(delivered);
        rounds += of_it;
    }
    // Rounds beside each other may leave some to the next one.
    all.extend(round(&storage, &WorkerId::named("worker_a")).await);
    assert_eq!(all.len(), 2 * rounds, "all that was sent was delivered");
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    let counts = storage.counts(None).await.unwrap();
    assert_eq!((counts.ready, counts.leased), (0, 0));
    drop(storage);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn a_call_whose_connection_is_ended_is_made_on_another() {
    let schema = fresh_schema();
    let pool = pool(2);
    let storage = storage_of(&pool, &schema).await;
    let worker = WorkerId::named("worker_a");
    round(&storage, &worker).await;
    let now = storage.beat(Some(&worker), None).await.unwrap().now;
    let mut other = client().await;
    let lock = other.transaction().await.unwrap();
    let sql = format!("LOCK TABLE \"{schema}\".webhook_queue IN ACCESS EXCLUSIVE MODE");
    lock.batch_execute(&sql).await.unwrap();
    let sent = [event("a", b"{}", now)];
    let enqueue = storage.enqueue(&sent, None, now);
    let end = async {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))";
        while lock.query(kill, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        lock.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(enqueue, end);
    answer.unwrap();
    let query = DeliveryQuery {
        states: vec![DeliveryState::Ready],
        ..DeliveryQuery::default()
    };
    assert_eq!(storage.deliveries(&query).await.unwrap().items.len(), 1);
    drop(storage);
    drop_schema(&schema).await;
}

#[tokio::test]
async fn the_outbox_works_on_a_connection_whose_statements_were_discarded() {
    let schema = fresh_schema();
    let storage = storage_of(&pool(2), &schema).await;
    let mut own = client().await;
    for _ in 0..3 {
        let transaction = own.transaction().await.unwrap();
        let outbox = storage.outbox(&transaction);
        outbox.send("user.created", &1).await.unwrap();
        outbox.send("user.created", &2).await.unwrap();
        let left: i64 = transaction
            .query_one("SELECT count(*) FROM pg_prepared_statements", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(left, 1, "a send leaves no statement of a name behind");
        transaction.commit().await.unwrap();
        own.batch_execute("DISCARD ALL").await.unwrap();
    }
    assert_eq!(storage.read_outbox(10, 1 << 20).await.unwrap().len(), 6);
    drop(storage);
    drop_schema(&schema).await;
}

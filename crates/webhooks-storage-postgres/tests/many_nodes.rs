//! Several storages on one schema, as several processes would have.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use support::events::{claim, delivered, endpoint, event};
use support::{client, config, drop_schema, fresh_schema, pool_of, storage};
use tokio_postgres::NoTls;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{EndpointGate, GateChange, Settled};
use webhooks_core::{RateLimitConfig, Timestamp, WorkerId};
use webhooks_storage_postgres::PostgresStorage;

async fn now(storage: &PostgresStorage) -> Timestamp {
    storage.beat(None, None).await.unwrap().now
}

async fn send(storage: &PostgresStorage, endpoint: &str, count: usize, now: Timestamp) {
    let events: Vec<_> = (0..count).map(|_| event(endpoint, b"{}", now)).collect();
    storage.enqueue(&events, None, now).await.unwrap();
}

/// Claims from many nodes at once, `limit` at a time, until each has found nothing ten times.
async fn claim_together(schema: &str, nodes: usize, limit: usize, now: Timestamp) -> Vec<usize> {
    let mut claimers = Vec::new();
    for n in 0..nodes {
        let storage = storage(schema).await;
        claimers.push(tokio::spawn(async move {
            let worker = WorkerId::named(&format!("worker_{n}"));
            let (mut ids, mut empty) = (Vec::new(), 0);
            while empty < 10 {
                let claimed = storage.claim(&claim(&worker, limit, now)).await.unwrap();
                empty = if claimed.deliveries.is_empty() {
                    empty + 1
                } else {
                    0
                };
                ids.extend(claimed.deliveries.iter().map(|d| d.id));
            }
            ids
        }));
    }
    let (mut all, mut counts) = (HashSet::new(), Vec::new());
    for claimer in claimers {
        let ids = claimer.await.unwrap();
        counts.push(ids.len());
        for id in ids {
            assert!(all.insert(id), "{id} was claimed twice");
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_claimers_never_share_a_delivery() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let now = now(&storage).await;
    for n in 0..10 {
        let id = format!("e_{n}");
        storage.save_endpoint(&endpoint(&id)).await.unwrap();
        send(&storage, &id, 100, now).await;
    }
    let counts = claim_together(&schema, 20, 7, now).await;
    assert_eq!(counts.iter().sum::<usize>(), 1_000);
    drop_schema(&schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_fails_half_way_is_told_of_by_the_next() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let now = now(&storage).await;
    for id in ["a", "b"] {
        storage.save_endpoint(&endpoint(id)).await.unwrap();
    }
    send(&storage, "a", 10, now).await;
    send(&storage, "b", 1, now).await;
    // The second round of the claim, for the rest of one endpoint, finds the server in trouble.
    let trouble = format!(
        "SET search_path = \"{schema}\"; \
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF EXISTS (SELECT FROM \"{schema}\".webhook_queue WHERE endpoint_id = 'b' \
                 AND status = 'processing') THEN \
                 RAISE EXCEPTION 'no' USING ERRCODE = 'system_error'; END IF; \
             RETURN NEW; END $$; \
         CREATE TRIGGER trouble BEFORE UPDATE ON webhook_queue FOR EACH STATEMENT \
             EXECUTE FUNCTION fail()"
    );
    let other = client().await;
    other.batch_execute(&trouble).await.unwrap();
    let worker = WorkerId::named("worker_a");
    let limited = claim(&worker, 10, now);
    let first = storage.claim(&limited).await.unwrap();
    assert_eq!(first.deliveries.len(), 6);
    let over = format!("DROP TRIGGER trouble ON \"{schema}\".webhook_queue");
    other.batch_execute(&over).await.unwrap();
    let error = storage.claim(&limited).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let rest = storage.claim(&limited).await.unwrap();
    assert_eq!(rest.deliveries.len(), 5);
    drop_schema(&schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_together_keep_a_rate_limit() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let now = now(&storage).await;
    let mut limited = endpoint("a");
    limited.rate_limit = Some(RateLimitConfig {
        requests_per_second: 10,
        burst_size: 25,
    });
    storage.save_endpoint(&limited).await.unwrap();
    send(&storage, "a", 100, now).await;
    let counts = claim_together(&schema, 6, 3, now).await;
    assert_eq!(counts.iter().sum::<usize>(), 25);
    let later = now.after(Duration::from_secs(1));
    let counts = claim_together(&schema, 6, 3, later).await;
    assert_eq!(counts.iter().sum::<usize>(), 10);
    drop_schema(&schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_together_keep_a_limit_of_leases() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let now = now(&storage).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let gate = EndpointGate {
        endpoint_id: "a".into(),
        epoch: None,
        change: GateChange::LimitLeased(Some(5)),
    };
    storage.set_gates(&[gate], now).await.unwrap();
    send(&storage, "a", 100, now).await;
    let counts = claim_together(&schema, 6, 2, now).await;
    assert_eq!(counts.iter().sum::<usize>(), 5);
    drop_schema(&schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_another_node_wakes_also_after_a_lost_connection() {
    let schema = fresh_schema();
    let (here, there) = (storage(&schema).await, storage(&schema).await);
    let now = now(&here).await;
    here.save_endpoint(&endpoint("a")).await.unwrap();
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%webhooks_{schema}%' \
         AND pid <> pg_backend_pid()"
    );
    for round in 0..2 {
        // What woke until now is used up: from here on there is only silence.
        while tokio::time::timeout(Duration::from_millis(700), here.wait())
            .await
            .is_ok()
        {}
        send(&there, "a", 1, now).await;
        let woken = tokio::time::timeout(Duration::from_secs(10), here.wait()).await;
        assert!(woken.is_ok(), "round {round}");
        client().await.query(&sql, &[]).await.unwrap();
    }
    drop_schema(&schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_lose_nothing() {
    const EVENTS: usize = 2_000;
    let schema = fresh_schema();
    storage(&schema)
        .await
        .save_endpoint(&endpoint("a"))
        .await
        .unwrap();
    let mut config = config();
    config.application_name(&schema);
    let builder = PostgresStorage::builder(pool_of(config, 4)).schema(&schema);
    let storage = Arc::new(builder.connect().await.unwrap());
    let now = now(&storage).await;
    let killer = tokio::spawn(kill_again_and_again(schema.clone()));
    let sender = tokio::spawn(send_until_stored(storage.clone(), EVENTS, now));
    let worker = WorkerId::named("worker");
    let mut delivered_ids = HashSet::new();
    let mut at = now;
    while delivered_ids.len() < EVENTS {
        // A claim whose answer was lost leaves leases that nobody knows of; a worker that was
        // silent for long gets them back, and here time passes quickly.
        at = at.after(Duration::from_secs(3));
        for name in ["rescuer", "rescuer"] {
            let _maybe = storage.beat(Some(&WorkerId::named(name)), Some(at)).await;
        }
        let Ok(claimed) = storage.claim(&claim(&worker, 50, at)).await else {
            continue;
        };
        let outcomes: Vec<_> = claimed.deliveries.iter().map(delivered).collect();
        let settled = loop {
            match storage.settle(&worker, &outcomes, at).await {
                Ok(settled) => break settled,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        };
        // A settlement whose answer was lost is stale when it is sent again, and stored.
        assert!(settled.iter().all(|s| *s != Settled::Cancelled));
        delivered_ids.extend(claimed.deliveries.iter().map(|d| d.id));
    }
    sender.await.unwrap();
    killer.abort();
    let counts = loop {
        match storage.counts(None).await {
            Ok(counts) => break counts,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    };
    assert_eq!(counts.enqueued, u64::try_from(EVENTS).unwrap());
    assert_eq!(
        counts.delivered + counts.dead,
        counts.enqueued,
        "{counts:?}"
    );
    drop_schema(&schema).await;
}

async fn kill_again_and_again(application: String) {
    let client = client().await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    loop {
        client.query(sql, &[&application]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

async fn send_until_stored(storage: Arc<PostgresStorage>, count: usize, now: Timestamp) {
    for _ in 0..count / 20 {
        let events: Vec<_> = (0..20).map(|_| event("a", b"{}", now)).collect();
        while let Err(error) = storage.enqueue(&events, None, now).await {
            assert!(error.is_transient(), "{error:?}");
        }
    }
}

#[tokio::test]
async fn an_error_tells_nothing_of_what_was_stored() {
    let storage = storage(&fresh_schema()).await;
    let now = now(&storage).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let broken = event("a", br#"{"card":"4111 1111"#, now);
    let error = storage.enqueue(&[broken], None, now).await.unwrap_err();
    assert!(!error.is_transient());
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text += &format!(" {cause} {cause:?}");
        source = cause.source();
    }
    assert!(!text.contains("card") && !text.contains("4111"), "{text}");
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_passing_failure() {
    let mut nowhere = tokio_postgres::Config::new();
    nowhere
        .host("127.0.0.1")
        .port(1)
        .user("nobody")
        .password("hunter2");
    let pool = pool_of(nowhere, 1);
    let error = PostgresStorage::new(pool).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
    let _unused = NoTls;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_gate_does_not_wait_for_who_stores_deliveries() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let now = now(&storage).await;
    let other = client().await;
    // The lock that storing and settling deliveries take.
    let storing =
        format!("BEGIN; SELECT 1 FROM {schema}.webhook_endpoints WHERE id = 'a' FOR KEY SHARE");
    other.batch_execute(&storing).await.unwrap();
    let gate = EndpointGate {
        endpoint_id: "a".into(),
        epoch: None,
        change: GateChange::FailingSince(now),
    };
    let gates = [gate];
    let change = storage.set_gates(&gates, now);
    let changed = tokio::time::timeout(Duration::from_secs(10), change).await;
    changed.unwrap().unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    drop_schema(&schema).await;
}

//! What belongs to one tenant is found without a look at what belongs to others.
#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool};
use futures_util::future::BoxFuture;
use support::events::{claim, delivered, endpoint, event};
use support::{client, config, drop_schema, fresh_schema};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use webhooks_core::WorkerId;
use webhooks_core::storage::{Change, DeliveryQuery, WebhookStorage};
use webhooks_storage_postgres::PostgresStorage;

/// Makes connections whose server tells the plan of each statement, and keeps what it tells.
#[derive(Clone, Default)]
struct Plans(Arc<Mutex<Vec<String>>>);

impl Plans {
    /// The plans since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Connect for Plans {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, mut connection) = config.connect(NoTls).await?;
            let plans = self.clone();
            let driver = tokio::spawn(async move {
                while let Some(Ok(message)) = poll_fn(|c| connection.poll_message(c)).await {
                    if let AsyncMessage::Notice(notice) = message {
                        plans.0.lock().unwrap().push(notice.message().into());
                    }
                }
            });
            Ok((client, driver))
        })
    }
}

fn pool(plans: &Plans) -> Pool {
    let mut config = config();
    config.options(
        "-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 \
         -c auto_explain.log_analyze=on -c auto_explain.log_buffers=on -c auto_explain.log_timing=off \
         -c auto_explain.log_level=notice",
    );
    let manager = Manager::from_connect(config, plans.clone(), ManagerConfig::default());
    Pool::builder(manager).max_size(2).build().unwrap()
}

/// Fills both tables with rows like the one that each has: many of nobody and of others, and the
/// oldest ones of the tenant.
async fn fill(schema: &str, others: u32) {
    let rows = |table: &str, first: u32| {
        format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(q, jsonb_build_object( \
                'id', lpad(to_hex({first} + n), 32, '0'), \
                'tenant', CASE WHEN n <= 30 THEN 'ours' WHEN n % 2 = 0 THEN 'tenant_' || n % 3 END \
             ))).* FROM {table} q, generate_series(1, {others}) n; \
             ANALYZE {table};"
        )
    };
    let sql = format!(
        "SET search_path = {schema}; {} {}",
        rows("webhook_queue", 0),
        rows("webhook_archive", others)
    );
    client().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_found_by_an_index_of_both_tables() {
    let (schema, plans) = (fresh_schema(), Plans::default());
    let builder = PostgresStorage::builder(pool(&plans)).schema(&schema);
    let storage = builder.connect().await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let worker = WorkerId::named("worker_a");
    let now = storage.beat(Some(&worker), None).await.unwrap().now;
    let sent = [event("a", b"{}", now), event("a", b"{}", now)];
    storage.enqueue(&sent, None, now).await.unwrap();
    let claimed = storage.claim(&claim(&worker, 1, now)).await.unwrap();
    let outcomes: Vec<_> = claimed.deliveries.iter().map(delivered).collect();
    storage.settle(&worker, &outcomes, now).await.unwrap();
    fill(&schema, 20_000).await;
    let query = DeliveryQuery {
        tenant: Some("ours".into()),
        limit: 100,
        ..DeliveryQuery::default()
    };
    plans.take();
    // Often enough for plans that are made for any tenant.
    for _ in 0..8 {
        assert_eq!(storage.deliveries(&query).await.unwrap().items.len(), 60);
        check(&plans.take());
    }
    let (mut pages, mut found) = (query.clone(), Vec::new());
    pages.limit = 25;
    loop {
        let page = storage.deliveries(&pages).await.unwrap();
        check(&plans.take());
        found.extend(page.items.iter().map(|record| record.delivery.id));
        let Some(next) = page.next else { break };
        pages.before = Some(next);
    }
    assert_eq!(found.len(), 60);
    assert!(found.is_sorted_by(|a, b| a > b), "newest first, each once");
    for _ in 0..8 {
        let erased = storage.change(&query, Change::Erase, 10, now);
        erased.await.unwrap();
        check(&plans.take());
    }
    assert!(
        storage
            .deliveries(&query)
            .await
            .unwrap()
            .items
            .iter()
            .all(|record| record.delivery.event.payload.is_empty())
    );
    drop(storage);
    drop_schema(&schema).await;
}

/// No statement looks at more than a few pages, and both indexes are used.
fn check(plans: &[String]) {
    let all = plans.join("\n");
    for index in ["idx_webhook_queue_tenant", "idx_webhook_archive_tenant"] {
        assert!(all.contains(index), "{index} is not used: {all}");
    }
    for table in ["webhook_queue", "webhook_archive"] {
        let whole = format!("Seq Scan on {table}");
        assert!(!all.contains(&whole), "{all}");
    }
    for line in all
        .lines()
        .filter(|line| line.contains("Buffers: shared hit="))
    {
        let hits = line.split("hit=").nth(1).unwrap();
        let hits: u32 = hits.split(' ').next().unwrap().trim().parse().unwrap();
        assert!(hits < 1_000, "{all}");
    }
}

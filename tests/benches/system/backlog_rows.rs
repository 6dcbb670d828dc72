//! Long backlogs of one endpoint, made fast.

use std::sync::Arc;

use better_auth_webhooks::DeliveryId;
use better_auth_webhooks::storage::WebhookStorage;
use better_auth_webhooks::storage::spi::NewDelivery;
use tokio::task::JoinSet;

use crate::Result;
use crate::database::{Database, Servers, postgres, redis};
use crate::load::{fill, new_event, now};

/// Deliveries of one event in Redis.
const OF_ONE_EVENT: usize = 100;
/// Deliveries of one call to Redis.
const OF_ONE_CALL: usize = 2_000;

/// Makes so many deliveries wait for this endpoint.
pub(crate) async fn fill_one(
    database: Database,
    servers: &Servers,
    namespace: &str,
    storage: &Arc<dyn WebhookStorage>,
    endpoint_id: &str,
    deliveries: usize,
) -> Result {
    match database {
        Database::Memory | Database::Sqlite => {
            fill(storage, &[endpoint_id.to_owned()], deliveries).await
        }
        Database::Postgres => {
            fill_table(&servers.postgres, namespace, endpoint_id, deliveries).await
        }
        Database::Redis => {
            fill_redis(storage, endpoint_id, deliveries).await?;
            let mut answer = String::from("aof_rewrite_in_progress:1");
            // The server writes its file anew now and then while it grows: over by the time that
            // such a backlog has come together in life.
            while answer.contains("aof_rewrite_in_progress:1") {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                answer = redis(&servers.redis, "INFO persistence").await?;
            }
            Ok(())
        }
    }
}

/// Through the storage a million rows take minutes; this makes the same rows. The server's own
/// upkeep, which follows such a growth within a minute, is done at once.
async fn fill_table(url: &str, schema: &str, endpoint_id: &str, deliveries: usize) -> Result {
    let event = new_event(endpoint_id, false)?.event;
    let payload = std::str::from_utf8(&event.payload)?;
    let rows = "generate_series(1, $1::bigint) n,
        LATERAL (SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid) i (id)";
    let events = format!(
        "INSERT INTO {schema}.webhook_events (id, created_at, due_at, max_retries, payload_bytes,
            priority, event_type, payload)
        SELECT i.id, now(), now(), 11, octet_length($2::text), 1, 'user.created', $2::text::json
        FROM {rows}"
    );
    let deliveries_of = format!(
        "INSERT INTO {schema}.webhook_queue (id, endpoint_id, event_id, sort_key, token,
            created_at, queued_at, updated_at, next_retry_at, attempts, max_retries, priority,
            is_ready, status, event_type, incarnation, by_name)
        SELECT i.id, $2, i.id, $3::bigint + n, 0, now(), now(), now(), now(), 0, 11, 1, true,
            'pending', 'user.created', e.incarnation, false
        FROM (SELECT incarnation FROM {schema}.webhook_endpoints WHERE id = $2) e, {rows}"
    );
    let client = postgres(url).await?;
    let sort_key = event.created_at.as_millis() - i64::try_from(deliveries)?;
    let rows = i64::try_from(deliveries)?;
    client.execute(&events, &[&rows, &payload]).await?;
    client
        .execute(&deliveries_of, &[&rows, &endpoint_id, &sort_key])
        .await?;
    let upkeep = format!("VACUUM ANALYZE {schema}.webhook_queue, {schema}.webhook_events");
    client.batch_execute(&upkeep).await?;
    Ok(client.batch_execute("CHECKPOINT").await?)
}

/// Several deliveries per event, which share its bytes: a call then has less to send.
async fn fill_redis(
    storage: &Arc<dyn WebhookStorage>,
    endpoint_id: &str,
    deliveries: usize,
) -> Result {
    let mut tasks = JoinSet::new();
    for _ in 0..deliveries.div_ceil(OF_ONE_CALL) {
        while tasks.len() >= 4 {
            tasks.join_next().await.ok_or("no task")???;
        }
        let mut events = Vec::new();
        for _ in 0..OF_ONE_CALL.min(deliveries) / OF_ONE_EVENT {
            let mut event = new_event(endpoint_id, false)?;
            let delivery = NewDelivery {
                id: DeliveryId::new(now()),
                endpoint_id: endpoint_id.into(),
                incarnation: None,
                by_name: false,
                order: None,
                lease: false,
            };
            let another = |_| NewDelivery {
                id: DeliveryId::new(now()),
                ..delivery.clone()
            };
            event.deliveries = (0..OF_ONE_EVENT).map(another).collect();
            events.push(event);
        }
        let storage = storage.clone();
        tasks.spawn(async move { storage.enqueue(&events, None, now()).await.map(drop) });
    }
    while let Some(stored) = tasks.join_next().await {
        stored??;
    }
    Ok(())
}

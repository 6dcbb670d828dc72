//! L2: the bare SQL that durable deliveries cannot do without, in our row widths: inserts of 100
//! rows, and deletes of 100 with the inserts of their 100 attempts, on two connections. There is no
//! index but the primary key.

use better_auth_webhooks::DeliveryId;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::Result;
use crate::database::postgres;
use crate::load::{new_event, now};
use crate::measure::{Reached, Stopwatch};

const CONNECTIONS: usize = 2;
const ROWS: usize = 100;
const DELIVERIES: usize = 20_000;

const INSERT: &str = "INSERT INTO limit_queue (id, endpoint_id, event_id, seq, sort_key, token,
        created_at, queued_at, updated_at, next_retry_at, attempts, max_retries, crashes, priority,
        is_ready, status, event_type, worker, payload, incarnation, by_name)
    SELECT id, 'endpoint_1', id, 1, 1, 1, now(), now(), now(), now(), 0, 11, 0, 1, true,
        'processing', 'user.created', 'worker_01900000-0000-7000-8000-000000000000', payload::json,
        1, false
    FROM unnest($1::uuid[], $2::text[]) AS d (id, payload)";
const END: &str = "WITH gone AS (
        DELETE FROM limit_queue WHERE id = ANY ($1::uuid[]) RETURNING id)
    INSERT INTO limit_attempts (seq, delivery_id, token, started_at, duration_us, number, status,
        ambiguous, response)
    SELECT 1, id, 1, now(), 20000, 1, 204, false, '' FROM gone";

/// Makes the tables like those of a storage's schema, without their indexes.
pub(crate) async fn prepare(url: &str, schema: &str) -> Result {
    let tables = format!(
        "DROP TABLE IF EXISTS limit_queue, limit_attempts;
        CREATE TABLE limit_queue
            (LIKE {schema}.webhook_queue INCLUDING DEFAULTS, PRIMARY KEY (id));
        CREATE TABLE limit_attempts (LIKE {schema}.webhook_attempts INCLUDING DEFAULTS)"
    );
    Ok(postgres(url).await?.batch_execute(&tables).await?)
}

pub(crate) async fn run(url: &str) -> Result<Reached> {
    let mut tasks = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(postgres(url).await?);
    }
    let watch = Stopwatch::start()?;
    for client in clients {
        tasks.spawn(work(client));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    watch.end(DELIVERIES)
}

async fn work(client: Client) -> Result {
    let (insert, end) = (client.prepare(INSERT).await?, client.prepare(END).await?);
    let event = new_event("endpoint_1", false)?.event;
    let payload = std::str::from_utf8(&event.payload)?;
    let payloads = [payload; ROWS];
    for _ in 0..DELIVERIES / CONNECTIONS / ROWS {
        let ids = [(); ROWS].map(|()| DeliveryId::new(now()).as_uuid());
        client
            .execute(&insert, &[&&ids[..], &&payloads[..]])
            .await?;
        client.execute(&end, &[&&ids[..]]).await?;
    }
    Ok(())
}

//! Rows 15 and 16: what it costs that events of a key go one after another.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::WebhookStorage;
use better_auth_webhooks::{
    DeliveryOrder, OnDead, OrderBy, WebhookEndpoint, WebhookError, WebhookSystem,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;
use crate::backlog::claim_times;
use crate::database::{Database, Servers};
use crate::load::{Data, SENDERS, endpoint, new_event, now, system};
use crate::measure::{Stopwatch, median};
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;

const ROUNDS: usize = 5;
const DELIVERIES: usize = 20_000;
const KEYS: usize = 1_000;
const CLAIM_ROUNDS: usize = 5;
/// Deliveries that one call stores when a line is made.
const BATCH: usize = 1_000;
const RATES: &str = "keys";
/// The namespaces, and what waits behind one key in each.
const WAITING: [(&str, usize); 2] = [("short_line", 1_000), ("long_line", 1_000_000)];

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    for database in Database::ALL {
        let storage = database.connect(database.url(servers), RATES).await?;
        compare_rates(database.name(), storage, sink, report).await?;
        compare_claims(database, servers, sink, report).await?;
        let [(short, _), (long, _)] = WAITING;
        database.clear(servers, &[RATES, short, long]).await?;
    }
    Ok(())
}

/// An endpoint that orders by key, and one that does not, in turn on one storage.
async fn compare_rates(
    name: &str,
    storage: Arc<dyn WebhookStorage>,
    sink: &SinkProcess,
    report: &mut Report,
) -> Result {
    let system = system(storage);
    let ordered = WebhookEndpoint {
        ordering: OrderBy::Key,
        ..endpoint("ordered", &sink.url(), "of.key")
    };
    for endpoint in [ordered, endpoint("plain", &sink.url(), "of.none")] {
        system.register_endpoint(endpoint).await?;
    }
    let (mut plain, mut keyed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(rate(&system, "of.none").await?);
        keyed.push(rate(&system, "of.key").await?);
    }
    system.shutdown(Duration::from_secs(5)).await?;
    let [plain, keyed] = [plain, keyed].map(median);
    report.figure(
        format!("{name}, an endpoint of 1,000 keys in order"),
        keyed,
        "/s",
    );
    let row = format!("{name}, endpoint that orders 1,000 keys, against one that does not");
    report.row(15, row, keyed / plain, "times", Target::AtLeast(0.8));
    Ok(())
}

/// From 64 tasks to settled, a second, of events with as many keys.
async fn rate(system: &WebhookSystem, event: &'static str) -> Result<f64> {
    let watch = Stopwatch::start()?;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let system = system.clone();
        senders.spawn(async move {
            for n in (sender..DELIVERIES).step_by(SENDERS) {
                let event = system.webhook(event).data(Data::now());
                event
                    .ordering_key(format!("key_{}", n % KEYS))
                    .send()
                    .await?;
            }
            Ok::<_, WebhookError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    if !system.drain(Duration::from_secs(120)).await? {
        return Err("not everything was delivered within two minutes".into());
    }
    Ok(watch.end(DELIVERIES)?.rate)
}

/// Single claims of another endpoint beside a long line and beside a short one.
async fn compare_claims(
    database: Database,
    servers: &Servers,
    sink: &SinkProcess,
    report: &mut Report,
) -> Result {
    let mut storages = Vec::new();
    for (namespace, waiting) in WAITING {
        let storage = database.connect(database.url(servers), namespace).await?;
        for id in ["claimed", "line"] {
            storage
                .save_endpoint(&endpoint(id, &sink.url(), "nobody.sends.this"))
                .await?;
        }
        let started = Instant::now();
        fill_line(&storage, waiting).await?;
        let took = started.elapsed().as_secs_f64();
        println!(
            "  {}, {waiting} behind one key made in {took:.1} s",
            database.name()
        );
        storages.push((storage, Vec::new()));
    }
    for _ in 0..CLAIM_ROUNDS {
        for (storage, times) in &mut storages {
            times.extend(claim_times(storage).await?);
        }
    }
    let [(_, cheap), (_, dear)] = storages.as_slice() else {
        return Err("there are two lines".into());
    };
    let [cheap, dear] = [cheap, dear].map(|times| median(times.iter().copied()));
    let name = database.name();
    report.figure(
        format!("{name}, claim of 100 beside 1,000,000 behind one key"),
        dear,
        "ms",
    );
    let row = format!("{name}, cost of a claim beside 1,000,000 behind one key against 1,000");
    report.row(16, row, dear / cheap, "times", Target::AtMost(1.1));
    Ok(())
}

/// Stores so many deliveries of one key. Their head is due in a day, so that nothing of them is
/// claimed.
async fn fill_line(storage: &Arc<dyn WebhookStorage>, deliveries: usize) -> Result {
    for batch in 0..deliveries.div_ceil(BATCH) {
        let mut events = Vec::new();
        for n in 0..BATCH.min(deliveries) {
            let mut new = new_event("line", false)?;
            for delivery in &mut new.deliveries {
                delivery.order = Some(DeliveryOrder {
                    key: "key".into(),
                    on_dead: OnDead::Continue,
                });
            }
            if batch + n == 0 {
                new.due_at = now().after(Duration::from_secs(86_400));
            }
            events.push(new);
        }
        storage.enqueue(&events, None, now()).await?;
    }
    Ok(())
}

//! Row 9: what a million deliveries of one dead endpoint cost a healthy one, against a thousand.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::WorkerId;
use better_auth_webhooks::storage::WebhookStorage;
use better_auth_webhooks::storage::spi::{Claim, EndpointGate, GateChange, SettleAs, Settlement};
use tokio::time::Instant;

use crate::Result;
use crate::backlog_rows::fill_one;
use crate::database::{Database, Servers};
use crate::load::{SENDERS, endpoint, new_event, now, send, system};
use crate::measure::median;
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;

const ROUNDS: usize = 7;
const DELIVERIES: usize = 10_000;
const CLAIMS: usize = 40;
const CLAIMED: usize = 100;
/// The namespaces, and what waits in each.
const WAITING: [(&str, usize); 2] = [("short_backlog", 1_000), ("long_backlog", 1_000_000)];

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    for database in Database::ALL {
        compare(database, servers, sink, report).await?;
        let namespaces = WAITING.map(|(namespace, _)| namespace);
        database.clear(servers, &namespaces).await?;
    }
    Ok(())
}

async fn compare(
    database: Database,
    servers: &Servers,
    sink: &SinkProcess,
    report: &mut Report,
) -> Result {
    let mut storages = Vec::new();
    for (namespace, waiting) in WAITING {
        let storage = database.connect(database.url(servers), namespace).await?;
        prepare(&storage, sink).await?;
        let started = Instant::now();
        fill_one(database, servers, namespace, &storage, "dead", waiting).await?;
        let took = started.elapsed().as_secs_f64();
        println!(
            "  {}, {waiting} waiting made in {took:.1} s",
            database.name()
        );
        storages.push((storage, Vec::new(), Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (storage, rates, claims) in &mut storages {
            rates.push(rate(storage, sink).await?);
            claims.extend(claim_times(storage).await?);
        }
    }
    let [(_, few, cheap), (_, many, dear)] = storages.as_slice() else {
        return Err("there are two backlogs".into());
    };
    let middle = |values: &[f64]| median(values.iter().copied());
    let name = database.name();
    report.figure(format!("{name}, beside 1,000 waiting"), middle(few), "/s");
    report.figure(
        format!("{name}, beside 1,000,000 waiting"),
        middle(many),
        "/s",
    );
    let claim = format!("{name}, claim of 100 beside 1,000,000 waiting");
    report.figure(claim, middle(dear), "ms");
    let row = format!("{name}, healthy endpoint beside 1,000,000 waiting against 1,000");
    let ratio = middle(many) / middle(few);
    report.row(9, row, ratio, "times", Target::AtLeast(0.95));
    let row = format!("{name}, cost of a claim beside 1,000,000 waiting against 1,000");
    let ratio = middle(dear) / middle(cheap);
    report.row(9, row, ratio, "times", Target::AtMost(1.3));
    Ok(())
}

/// A healthy endpoint, one to claim from, and one that is held as an open circuit holds it.
async fn prepare(storage: &Arc<dyn WebhookStorage>, sink: &SinkProcess) -> Result {
    let healthy = endpoint("healthy", &sink.url(), "user.created");
    let claimed = endpoint("claimed", &sink.url(), "nobody.sends.this");
    let dead = endpoint("dead", &sink.url(), "nobody.sends.this");
    for endpoint in [healthy, claimed, dead] {
        storage.save_endpoint(&endpoint).await?;
    }
    let hold = EndpointGate {
        endpoint_id: "dead".into(),
        epoch: None,
        change: GateChange::Hold {
            until: now().after(Duration::from_secs(3_600)),
        },
    };
    Ok(storage.set_gates(&[hold], now()).await?)
}

/// At which events of the healthy endpoint arrive, from the first to the last.
async fn rate(storage: &Arc<dyn WebhookStorage>, sink: &SinkProcess) -> Result<f64> {
    let system = system(storage.clone());
    system.list_endpoints().await?;
    sink.take()?;
    send(
        &system,
        &[String::from("user.created")].into(),
        DELIVERIES,
        SENDERS,
    )
    .await?;
    let arrivals = sink.wait_for(DELIVERIES).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(arrivals.rate)
}

/// Milliseconds of single claims of 100.
pub(crate) async fn claim_times(storage: &Arc<dyn WebhookStorage>) -> Result<Vec<f64>> {
    let worker = WorkerId::named("claimer");
    let mut times = Vec::new();
    for _ in 0..CLAIMS {
        let events = (0..CLAIMED).map(|_| new_event("claimed", false));
        let events = events.collect::<Result<Vec<_>>>()?;
        storage.enqueue(&events, None, now()).await?;
        let claim = Claim {
            worker: &worker,
            now: now(),
            limit: CLAIMED,
            per_endpoint: CLAIMED,
            room: &[],
            poison_suspects: 0,
            rate_limit: None,
        };
        let started = Instant::now();
        let claimed = storage.claim(&claim).await?.deliveries;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if claimed.len() != CLAIMED {
            return Err(format!("{} were claimed, not {CLAIMED}", claimed.len()).into());
        }
        let settlements: Vec<_> = claimed
            .iter()
            .map(|delivery| Settlement {
                delivery_id: delivery.id,
                endpoint_id: delivery.endpoint_id.clone(),
                token: delivery.lease.as_ref().map_or(0, |lease| lease.token),
                settle_as: SettleAs::Delivered,
                attempt: None,
            })
            .collect();
        storage.settle(&worker, &settlements, now()).await?;
    }
    Ok(times)
}

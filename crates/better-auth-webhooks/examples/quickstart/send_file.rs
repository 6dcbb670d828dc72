//! Sends the events of a file to one endpoint and reports each delivery.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use better_auth_webhooks::storage::SqliteStorage;
use better_auth_webhooks::{
    NetworkPolicy, Notice, NoticeStream, RetryStrategy, WebhookEndpoint, WebhookSystem,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

/// Events on their way at most, so that a file of any length takes little memory.
const MOST: usize = 500;

/// What to send, and where.
pub(crate) struct Job {
    pub(crate) events: String,
    pub(crate) endpoint: String,
    pub(crate) secret: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    event: String,
    /// Kept as it stands in the file: big numbers, the order of keys.
    #[serde(borrow)]
    data: &'a RawValue,
}

/// What is known of the events so far.
struct Report {
    notices: NoticeStream,
    /// The lines of events on their way, by event id.
    waiting: HashMap<String, usize>,
    delivered: usize,
    dead: usize,
    bad: usize,
}

pub(crate) async fn run(job: &Job, database: &Path) -> Result<bool, Box<dyn Error>> {
    let lines: Box<dyn AsyncBufRead + Unpin> = match job.events.as_str() {
        "-" => Box::new(BufReader::new(tokio::io::stdin())),
        path => Box::new(BufReader::new(
            tokio::fs::File::open(path)
                .await
                .map_err(|error| format!("{path}: {error}"))?,
        )),
    };
    // Who runs this chose the endpoint; URLs of strangers need the strict policy.
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(RetryStrategy {
            max_retries: 3,
            initial_delay_ms: 500,
            max_delay_ms: 5_000,
            backoff_multiplier: 2.0,
        })
        .try_build(SqliteStorage::open(database).await?)?;
    system
        .register_endpoint(WebhookEndpoint {
            id: "endpoint".to_string(),
            url: job.endpoint.clone(),
            secret: job.secret.clone(),
            events: vec!["*".to_string()],
            ..Default::default()
        })
        .await?;
    finish_last_run(&system).await?;
    let mut report = Report {
        notices: system.notices()?,
        waiting: HashMap::new(),
        delivered: 0,
        dead: 0,
        bad: 0,
    };
    send_lines(&system, lines, &mut report).await?;
    report.wait_until(0).await;
    system.shutdown(Duration::from_secs(5)).await?;
    println!(
        "{} delivered, {} dead, {} bad lines",
        report.delivered, report.dead, report.bad
    );
    Ok(report.dead == 0 && report.bad == 0)
}

/// Sends first what an earlier run left in the file.
async fn finish_last_run(system: &WebhookSystem) -> Result<(), Box<dyn Error>> {
    let waiting = system.get_metrics().await?.counts.waiting();
    if waiting > 0 {
        println!("{waiting} of an earlier run go first");
        while !system.drain(Duration::from_secs(1)).await? {}
    }
    Ok(())
}

async fn send_lines(
    system: &WebhookSystem,
    mut lines: Box<dyn AsyncBufRead + Unpin>,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let mut line = Vec::new();
    let mut number = 0;
    while lines.read_until(b'\n', &mut line).await? > 0 {
        number += 1;
        if !line.trim_ascii().is_empty() {
            match send_line(system, &line).await {
                Ok(event_id) => {
                    report.waiting.insert(event_id, number);
                    report.wait_until(MOST).await;
                }
                Err(error) => {
                    report.bad += 1;
                    eprintln!("line {number}: {error}");
                }
            }
        }
        line.clear();
    }
    Ok(())
}

async fn send_line(system: &WebhookSystem, line: &[u8]) -> Result<String, Box<dyn Error>> {
    let Line { event, data } = serde_json::from_slice(line)?;
    Ok(system.send_webhook(&event, data).await?.event_id)
}

impl Report {
    /// Reports deliveries until at most this many events are on their way.
    async fn wait_until(&mut self, most: usize) {
        while self.waiting.len() > most {
            let Some(notice) = self.notices.next().await else {
                return;
            };
            self.take(&notice);
        }
    }

    fn take(&mut self, notice: &Notice) {
        let (delivery, word) = match notice {
            Notice::Delivered { delivery } => (delivery, "delivered"),
            Notice::Dead { delivery, .. } => (delivery, "dead"),
            Notice::Retrying { delivery, .. } => (delivery, "retrying"),
            _ => return,
        };
        let event_id = delivery.event_id.to_string();
        let number = self.waiting.get(&event_id).copied().unwrap_or_default();
        let failure = delivery.failure.map_or("", |failure| failure.as_str());
        let status = delivery
            .status
            .map(|status| status.to_string())
            .unwrap_or_default();
        println!("line {number}: {event_id} {word} {status} {failure}");
        match notice {
            Notice::Delivered { .. } => self.delivered += 1,
            Notice::Dead { .. } => self.dead += 1,
            _ => return,
        }
        self.waiting.remove(&event_id);
    }
}

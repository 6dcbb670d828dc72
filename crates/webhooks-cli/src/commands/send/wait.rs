//! Waits until the deliveries of an event have ended.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::client::{Reply, Request};
use crate::failure::Failure;
use crate::output::Column;
use crate::pages::Pages;
use crate::session::Session;

/// What is shown of each delivery.
const COLUMNS: &[Column] = &[
    Column::new("DELIVERY", "/id"),
    Column::new("ENDPOINT", "/endpoint_id"),
    Column::state("STATE", "/state"),
    Column::new("ATTEMPTS", "/attempt_count"),
    Column::new("STATUS", "/last/status"),
    Column::new("FAILURE", "/last/failure"),
];

/// States in which a delivery has not ended.
const OPEN: [&str; 4] = ["blocked", "ready", "scheduled", "leased"];
/// Between two looks, at first and in the long run.
const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(1);
/// The longest time that it waits: no delivery is tried for longer.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// Deliveries that are shown at most.
const SHOWN: usize = 1_000;

/// The number of deliveries that match.
#[derive(Deserialize)]
struct Count {
    count: u64,
}

/// An event that was stored.
#[derive(Deserialize)]
struct Receipt {
    id: String,
    /// Ids of its deliveries.
    deliveries: Vec<String>,
}

/// Waits for each delivery of an event that was stored, and shows how they came out.
///
/// # Errors
///
/// A delivery that has not arrived.
pub(super) async fn until_ended(
    session: &Session,
    reply: &Reply,
    patience: Duration,
) -> Result<(), Failure> {
    let receipt: Receipt = reply.read()?;
    if receipt.deliveries.is_empty() {
        session.output.say("no endpoint takes it");
    } else {
        wait(session, &receipt.id, patience).await?;
    }
    let request = Request::get(["deliveries"]).query("event_id", &receipt.id);
    let mut pages = Pages::new(&session.client, request, Some(SHOWN));
    let mut deliveries = Vec::new();
    while let Some(items) = pages.next().await? {
        deliveries.extend(items);
    }
    show(session, reply, &deliveries)?;
    let open = count(session, &receipt.id, &OPEN).await?;
    let failed = count(session, &receipt.id, &["dead", "cancelled"]).await?;
    match (open, failed) {
        (0, 0) => Ok(()),
        (0, failed) => Err(Failure::failed(format!(
            "{failed} deliveries did not arrive"
        ))),
        (open, failed) => Err(Failure::failed(format!(
            "after {} {open} deliveries have not ended, and {failed} did not arrive",
            humantime::format_duration(patience)
        ))),
    }
}

/// Looks until nothing is open, or the time is over.
async fn wait(session: &Session, event_id: &str, patience: Duration) -> Result<(), Failure> {
    // What is never over is over in the end.
    let end = Instant::now().checked_add(patience.min(LONGEST));
    let (end, mut pause) = (end.unwrap_or_else(Instant::now), FIRST);
    while count(session, event_id, &OPEN).await? > 0 {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(LAST);
    }
    Ok(())
}

/// How many deliveries of an event are in these states.
async fn count(session: &Session, event_id: &str, states: &[&str]) -> Result<u64, Failure> {
    let request = Request::get(["deliveries", "count"])
        .query("event_id", event_id)
        .each("state", states);
    let count: Count = session.client.send(request).await?.read()?;
    Ok(count.count)
}

/// Writes what was answered with the deliveries in place of their ids.
fn show(session: &Session, reply: &Reply, deliveries: &[Box<RawValue>]) -> Result<(), Failure> {
    if !session.output.is_json() {
        return session.items(COLUMNS, deliveries);
    }
    let mut event = reply.value()?;
    let unreadable = |_| Failure::not_understood("a delivery cannot be read");
    let deliveries = deliveries.iter().map(|of| serde_json::from_str(of.get()));
    let deliveries: Vec<Value> = deliveries.collect::<Result<_, _>>().map_err(unreadable)?;
    if let Some(fields) = event.as_object_mut() {
        fields.insert("deliveries".to_owned(), deliveries.into());
    }
    session.output.json(&event.to_string())
}

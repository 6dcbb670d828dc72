//! Systems and what is sent through them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use better_auth_webhooks::storage::WebhookStorage;
use better_auth_webhooks::storage::spi::{NewDelivery, NewEvent};
use better_auth_webhooks::{
    DeliveryId, EventType, NetworkPolicy, Priority, Timestamp, WebhookEndpoint, WebhookError,
    WebhookEvent, WebhookSystem,
};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::Result;
use crate::measure::{Reached, Stopwatch};

/// Tasks that send at the same time, and requests in flight to one endpoint.
pub(crate) const SENDERS: usize = 64;
/// What stands before the time in a body.
pub(crate) const STAMP: &str = "\"sent\":";
/// Makes envelopes of 300 bytes.
const PADDING: &str = match std::str::from_utf8(&[b'x'; 124]) {
    Ok(text) => text,
    Err(_) => "",
};
/// Deliveries that one call stores when a backlog is made.
const BATCH: usize = 1_000;

/// What is sent: when it was, and enough to be of the usual size.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Data {
    /// Microseconds since 1970, of 16 digits; 0 if nobody wants to know.
    sent: u64,
    padding: &'static str,
}

impl Data {
    /// Sent now.
    pub(crate) fn now() -> Self {
        Self {
            sent: micros_now(),
            padding: PADDING,
        }
    }
}

/// Microseconds since 1970: a clock that two processes share.
#[expect(clippy::disallowed_methods, reason = "a measurement of what passed")]
pub(crate) fn micros_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or_default()
}

/// The clock of the storages, near enough.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(i64::try_from(micros_now() / 1_000).unwrap_or_default())
}

/// A system with the defaults, but that one endpoint may have 64 requests in flight.
pub(crate) fn system(storage: Arc<dyn WebhookStorage>) -> WebhookSystem {
    system_for(storage, SENDERS)
}

/// A system with the defaults, but that one endpoint may have so many requests in flight.
pub(crate) fn system_for(storage: Arc<dyn WebhookStorage>, in_flight: usize) -> WebhookSystem {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .max_in_flight_per_endpoint(in_flight)
        .build(storage)
}

pub(crate) fn endpoint(id: &str, url: &str, event: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: url.into(),
        secret: "secret".into(),
        events: vec![event.into()],
        ..Default::default()
    }
}

/// Sends so many events of these types, in turn, from so many tasks.
pub(crate) async fn send(
    system: &WebhookSystem,
    types: &Arc<[String]>,
    events: usize,
    tasks: usize,
) -> Result {
    let mut senders = JoinSet::new();
    for sender in 0..tasks {
        let (system, types) = (system.clone(), types.clone());
        senders.spawn(async move {
            let of_turn = types
                .iter()
                .cycle()
                .skip(sender % types.len())
                .step_by(tasks);
            for (_, event) in (sender..events).step_by(tasks).zip(of_turn) {
                system.send_webhook(event, Data::now()).await?;
            }
            Ok::<_, WebhookError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(())
}

/// Sends as above and waits until everything is settled; `fan_out` deliveries come of each event.
pub(crate) async fn send_to_settled(
    system: &WebhookSystem,
    types: &Arc<[String]>,
    events: usize,
    fan_out: usize,
    tasks: usize,
) -> Result<Reached> {
    let before = system.get_metrics().await?.successful_deliveries;
    let watch = Stopwatch::start()?;
    send(system, types, events, tasks).await?;
    if !system.drain(Duration::from_secs(60)).await? {
        let metrics = system.get_metrics().await?;
        return Err(format!("not everything was delivered within a minute: {metrics:?}").into());
    }
    let reached = watch.end(events * fan_out)?;
    let metrics = system.get_metrics().await?;
    if metrics.successful_deliveries - before != u64::try_from(events * fan_out)? {
        return Err(format!("not everything was delivered: {metrics:?}").into());
    }
    Ok(reached)
}

/// Sends one event after the other, of each type in turn, so many a second.
pub(crate) async fn send_slowly(
    system: &WebhookSystem,
    types: &[String],
    events: usize,
    per_second: u32,
) -> Result {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let mut senders = JoinSet::new();
    for event in types.iter().cycle().take(events) {
        ticks.tick().await;
        let (system, event) = (system.clone(), event.clone());
        senders.spawn(async move { system.send_webhook(&event, Data::now()).await });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(())
}

/// Stores deliveries that wait, through the call that a system stores them with: four batches at a
/// time.
pub(crate) async fn fill(
    storage: &Arc<dyn WebhookStorage>,
    endpoints: &[String],
    deliveries: usize,
) -> Result {
    let mut tasks = JoinSet::new();
    for batch in 0..deliveries.div_ceil(BATCH) {
        while tasks.len() >= 4 {
            tasks.join_next().await.ok_or("no task")???;
        }
        let ids = endpoints
            .iter()
            .cycle()
            .skip(batch * BATCH % endpoints.len());
        let events = ids.take(BATCH.min(deliveries - batch * BATCH));
        let events = events.map(|id| new_event(id, false));
        let events = events.collect::<Result<Vec<_>>>()?;
        let storage = storage.clone();
        tasks.spawn(async move { storage.enqueue(&events, None, now()).await.map(drop) });
    }
    while let Some(stored) = tasks.join_next().await {
        stored??;
    }
    Ok(())
}

/// An event of 300 bytes for one endpoint.
pub(crate) fn new_event(endpoint_id: &str, lease: bool) -> Result<NewEvent> {
    let now = now();
    let data = Data {
        sent: 0,
        padding: PADDING,
    };
    let event = WebhookEvent::new(EventType::new("user.created")?, None, &data, 1 << 18, now)?;
    Ok(NewEvent {
        event: Arc::new(event),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 11,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id: endpoint_id.into(),
            incarnation: None,
            by_name: false,
            order: None,
            lease,
        }],
    })
}

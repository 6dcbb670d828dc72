//! An event as callers see it.

use better_auth_webhooks::storage::{EventRecord, StateCounts};
use serde::Serialize;
use utoipa::ToSchema;

/// An event, without its data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::api) struct EventView {
    /// Identifies the event.
    id: String,
    /// Its type.
    r#type: String,
    /// For whom it was sent.
    tenant: Option<String>,
    /// When it was sent.
    created_at: String,
    /// Bytes of its envelope; 0 once it was erased.
    payload_bytes: usize,
    /// Its data was dropped.
    payload_erased: bool,
    /// How many of its deliveries are in each state.
    deliveries: StatesView,
    /// The trace in which it was sent.
    trace_id: Option<String>,
}

/// How many of its deliveries are in each state.
#[derive(Debug, Serialize, ToSchema)]
struct StatesView {
    /// Wait for those before them in their order.
    blocked: u64,
    /// Wait for a worker.
    ready: u64,
    /// Wait for their time.
    scheduled: u64,
    /// A worker has them.
    leased: u64,
    /// Arrived.
    delivered: u64,
    /// Were given up.
    dead: u64,
    /// Were cancelled.
    cancelled: u64,
}

impl From<&EventRecord> for EventView {
    fn from(record: &EventRecord) -> Self {
        let event = &record.event;
        Self {
            id: event.id.to_string(),
            r#type: event.event_type.to_string(),
            tenant: event.tenant.as_deref().map(str::to_owned),
            created_at: event.created_at.to_string(),
            payload_bytes: record.payload_bytes,
            payload_erased: record.payload_erased,
            deliveries: record.deliveries.into(),
            trace_id: event
                .trace
                .as_ref()
                .map(|trace| trace.trace_id().to_owned()),
        }
    }
}

impl From<StateCounts> for StatesView {
    fn from(counts: StateCounts) -> Self {
        Self {
            blocked: counts.blocked,
            ready: counts.ready,
            scheduled: counts.scheduled,
            leased: counts.leased,
            delivered: counts.delivered,
            dead: counts.dead,
            cancelled: counts.cancelled,
        }
    }
}

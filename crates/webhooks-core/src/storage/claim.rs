use std::sync::Arc;

use crate::{DeliveryId, RateLimitConfig, Timestamp, WebhookDelivery, WorkerId};

/// Asks for ready deliveries.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Who asks.
    pub worker: &'a WorkerId,
    /// Storage time.
    pub now: Timestamp,
    /// Deliveries at most, but the last batch may come whole.
    pub limit: usize,
    /// Deliveries of one endpoint at most; for an endpoint with a
    /// [batch](crate::WebhookEndpoint::batch), that many of its `max_events`.
    pub per_endpoint: usize,
    /// Endpoints of which the worker can take another number than `per_endpoint`.
    pub room: &'a [ClaimRoom],
    /// Poison suspects at most, deliveries with
    /// [`POISON_SUSPECT_CRASHES`](super::POISON_SUSPECT_CRASHES) or more; with 0 all of these are
    /// passed over, and those behind them come.
    pub poison_suspects: usize,
    /// The rate limit of endpoints that have none of their own; kept only by storages that
    /// [limit rates](super::WebhookStorage::limits_rate).
    pub rate_limit: Option<RateLimitConfig>,
}

/// How many deliveries of one endpoint a worker can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRoom {
    /// The endpoint.
    pub endpoint_id: Arc<str>,
    /// Deliveries at most; 0 leaves the endpoint out.
    pub deliveries: usize,
}

/// What was claimed.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// The deliveries, each with its lease. Their `endpoint` may be left empty.
    pub deliveries: Vec<WebhookDelivery>,
    /// When the next delivery becomes ready, or the next batch due, by the passing of time alone, if
    /// that is known.
    pub next_due: Option<Timestamp>,
}

/// A delivery that a worker has leased.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeldLease {
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// Its endpoint.
    pub endpoint_id: Arc<str>,
    /// The token of the lease.
    pub token: u64,
}

/// What a beat tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Storage time.
    pub now: Timestamp,
    /// The revision of the last change of any endpoint.
    pub revision: u64,
    /// Deliveries of dead workers that this beat took back.
    pub rescued: usize,
    /// The worker had been given up for dead since its last beat: its leases are gone.
    pub lost: bool,
    /// When the worker had beaten before, if it has and that is known: a process that knows of no
    /// such beat of its own is not the only one under its id.
    pub before: Option<Timestamp>,
    /// There is something in the [outbox](super::WebhookStorage::read_outbox), or a
    /// [fan-out](super::WebhookStorage::fan_outs) that is not done.
    pub outbox: bool,
}

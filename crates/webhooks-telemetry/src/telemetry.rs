//! Counts what a system does and writes it down.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::{
    AttemptEnd, AttemptInfo, Circuit, DeliveryEnd, EndedInfo, Happening, Observe, SentInfo,
    Snapshot, StorageCall, StorageCallEnd, TraceContext,
};

use crate::endpoint_labels::EndpointLabels;
use crate::endpoint_series::EndpointSeries;
use crate::gauges;
use crate::http_server::{AuthFailure, HttpServer};
use crate::instruments::Instruments;
use crate::labels::{Attempted, By, CallFailed, Called, Ended, Kind, NotMade, Outcome, To};

/// The media type of what [`Telemetry::encode_with`] writes, for the header `Content-Type`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts what a system does, and writes it down in the text format of OpenMetrics.
///
/// It is given to the builder of the system, whose tasks tell it what happens; each telling costs a few
/// atomic additions. One `Telemetry` may observe several systems of a process: their numbers are then
/// added up.
///
/// ```
/// use webhooks_core::{Observe, SentInfo, SentOutcome};
/// use webhooks_telemetry::Telemetry;
///
/// let telemetry = Telemetry::new();
/// telemetry.event_sent(&SentInfo::new(SentOutcome::Stored, "user.created"));
///
/// let mut text = String::new();
/// telemetry.encode(&mut text);
/// assert!(text.contains("webhooks_events_sent_total{outcome=\"stored\"} 1"));
/// ```
#[derive(Debug)]
pub struct Telemetry {
    instruments: Instruments,
    endpoints: Option<EndpointSeries>,
    http_server: HttpServer,
    registry: Registry,
}

impl Telemetry {
    pub(crate) fn with(labels: EndpointLabels, storage: String) -> Self {
        let instruments = Instruments::default();
        let mut registry = Registry::default();
        instruments.register(&mut registry);
        let http_server = HttpServer::register(&mut registry);
        let build = Info::new([
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("storage", storage),
        ]);
        let help = "The version of the library, and the storage";
        registry.register("webhooks_build", help, build);
        let endpoints = EndpointSeries::new(labels);
        if let Some(endpoints) = &endpoints {
            registry.register_collector(Box::new(endpoints.clone()));
        }
        Self {
            instruments,
            endpoints,
            http_server,
            registry,
        }
    }

    /// Appends what was counted.
    pub fn encode(&self, to: &mut String) {
        self.encode_all(None, to);
    }

    /// Appends what was counted, and what a snapshot of the system shows: `WebhookSystem::snapshot`.
    pub fn encode_with(&self, snapshot: &Snapshot, to: &mut String) {
        self.encode_all(Some(snapshot), to);
    }

    fn encode_all(&self, snapshot: Option<&Snapshot>, to: &mut String) {
        let mut write = || -> fmt::Result {
            encode_registry(to, &self.registry)?;
            if let Some(snapshot) = snapshot {
                encode_registry(to, &gauges::registry_of(snapshot))?;
            }
            encode_eof(to)
        };
        // A string takes everything.
        let _ = write();
    }
}

/// For an HTTP server in front of the system, such as `webhooks-server`.
impl Telemetry {
    /// A request was answered. `route` is the template that it matched, with a few values altogether, and
    /// never its path; `None` if it matched none.
    pub fn request_answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let server = &self.http_server;
        server.answered(method, route, status, took);
    }

    /// A request was let in by no key.
    pub fn auth_failed(&self, failure: AuthFailure) {
        self.http_server.auth_failed(failure);
    }

    /// A stream began.
    pub fn stream_opened(&self) {
        self.http_server.streams.inc();
    }

    /// A stream that had begun ended.
    pub fn stream_closed(&self) {
        self.http_server.streams.dec();
    }
}

impl Observe for Telemetry {
    fn event_sent(&self, sent: &SentInfo<'_>) {
        let outcome = sent.outcome.as_str();
        let counters = &self.instruments.events_sent;
        counters.get_or_create(&Outcome { outcome }).inc();
    }

    fn attempt_started(&self, attempt: &AttemptInfo<'_>) -> Option<TraceContext> {
        if let Some(lag) = attempt.lag {
            self.instruments.start_lag.observe(lag.as_secs_f64());
        }
        None
    }

    fn attempt_ended(&self, attempt: &AttemptInfo<'_>, end: AttemptEnd<'_>) {
        let result = match end {
            AttemptEnd::Made(result) => result,
            AttemptEnd::NotTried(_) => return self.attempt_not_made("not_tried"),
            AttemptEnd::CutOff => return self.attempt_not_made("cut_off"),
            _ => return,
        };
        let (counters, durations) = (
            &self.instruments.attempts,
            &self.instruments.attempt_duration,
        );
        counters.get_or_create(&Attempted::of(result)).inc();
        let took = result.duration.as_secs_f64();
        durations.get_or_create(&Outcome::of(result)).observe(took);
        if let Some(endpoints) = &self.endpoints {
            endpoints.attempted(attempt.endpoint_id, result);
        }
    }

    fn delivery_ended(&self, ended: &EndedInfo<'_>) {
        let counters = &self.instruments.deliveries_ended;
        counters.get_or_create(&Ended::of(ended.end)).inc();
        if ended.end == DeliveryEnd::Delivered {
            let age = ended.age.as_secs_f64();
            self.instruments.delivery_age.observe(age);
        }
        if let Some(endpoints) = &self.endpoints {
            endpoints.ended(ended);
        }
    }

    fn storage_called(&self, call: &StorageCall) {
        let instruments = &self.instruments;
        let durations = &instruments.storage_call_duration;
        let took = call.took.as_secs_f64();
        durations.get_or_create(&Called::of(call)).observe(took);
        if call.end.is_failure() {
            let is_transient = call.end == StorageCallEnd::Transient;
            let labels = CallFailed {
                call: call.name,
                transient: if is_transient { "true" } else { "false" },
            };
            instruments.storage_errors.get_or_create(&labels).inc();
        } else if call.end == StorageCallEnd::Ok
            && let Some(items) = call.items.and_then(|items| u32::try_from(items).ok())
        {
            let sizes = match call.name {
                "settle" => &instruments.settle_batch_size,
                _ => &instruments.commit_batch_size,
            };
            sizes.observe(items.into());
        }
    }

    fn gate_changed(&self, gate: &EndpointGate) {
        if let GateChange::Disable(by) = gate.change {
            let counters = &self.instruments.endpoints_disabled;
            counters.get_or_create(&By { by: by.as_str() }).inc();
        }
    }

    fn circuit_changed(&self, _: &str, circuit: Circuit) {
        let to = circuit.state.as_str();
        let counters = &self.instruments.circuit_transitions;
        counters.get_or_create(&To { to }).inc();
    }

    fn connection_used(&self, reused: bool) {
        let kind = if reused { "reused" } else { "new" };
        let counters = &self.instruments.connections;
        counters.get_or_create(&Kind { kind }).inc();
    }

    fn happened(&self, happening: Happening) {
        let instruments = &self.instruments;
        let (counter, by) = match happening {
            Happening::LeasesLost => (&instruments.leases_lost, 1),
            Happening::Rescued { deliveries } => (&instruments.rescued, deliveries as u64),
            Happening::SettlementStale => (&instruments.settlements_stale, 1),
            Happening::NoticesMissed { notices } => (&instruments.notices_missed, notices),
            _ => return,
        };
        counter.inc_by(by);
    }
}

impl Telemetry {
    fn attempt_not_made(&self, reason: &'static str) {
        let counters = &self.instruments.attempts_not_made;
        counters.get_or_create(&NotMade { reason }).inc();
    }
}

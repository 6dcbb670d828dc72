//! What is counted as it happens, all from zero when the process starts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use webhooks_core::storage::DisabledBy;
use webhooks_core::{CancelReason, CircuitState, DeadReason, DeliveryEnd, SentOutcome};

use crate::labels::{Attempted, By, CallFailed, Called, Ended, Kind, NotMade, Outcome, To};

/// Bounds of how long attempts take, in seconds: those of OpenTelemetry for HTTP, and up to the usual
/// timeouts.
const ATTEMPT: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
];
/// Bounds of how old deliveries are when they arrive, in seconds: up to a day of retries.
const AGE: [f64; 17] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 10_800.0,
    21_600.0, 43_200.0, 86_400.0,
];
/// Bounds of how late requests start, in seconds.
const LAG: [f64; 14] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0,
];
/// Bounds of how long calls of the storage take, in seconds.
const CALL: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of how much one call stores: as much as the system puts into one.
const BATCH: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The calls of the storage that a process makes by itself: their first failure must show.
const CALLS: [&str; 15] = [
    "add_stats",
    "beat",
    "claim",
    "counts",
    "endpoints_since",
    "enqueue",
    "enqueue_outbox",
    "fan_out",
    "fan_outs",
    "leased_by",
    "oldest_ready",
    "read_outbox",
    "set_gates",
    "settle",
    "sweep",
];

/// How long attempts take, in seconds.
pub(crate) fn attempt_duration() -> Histogram {
    Histogram::new(ATTEMPT)
}

/// How old deliveries are when they arrive, in seconds.
pub(crate) fn delivery_age() -> Histogram {
    Histogram::new(AGE)
}

fn call_duration() -> Histogram {
    Histogram::new(CALL)
}

type Counters<L> = Family<L, Counter>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What is counted as it happens.
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(crate) events_sent: Counters<Outcome>,
    pub(crate) attempts: Counters<Attempted>,
    pub(crate) attempts_not_made: Counters<NotMade>,
    pub(crate) attempt_duration: Histograms<Outcome>,
    pub(crate) delivery_age: Histogram,
    pub(crate) start_lag: Histogram,
    pub(crate) deliveries_ended: Counters<Ended>,
    pub(crate) circuit_transitions: Counters<To>,
    pub(crate) endpoints_disabled: Counters<By>,
    pub(crate) leases_lost: Counter,
    pub(crate) rescued: Counter,
    pub(crate) settlements_stale: Counter,
    pub(crate) notices_missed: Counter,
    pub(crate) storage_call_duration: Histograms<Called>,
    pub(crate) storage_errors: Counters<CallFailed>,
    pub(crate) commit_batch_size: Histogram,
    pub(crate) settle_batch_size: Histogram,
    pub(crate) connections: Counters<Kind>,
}

impl Default for Instruments {
    fn default() -> Self {
        let instruments = Self {
            events_sent: Family::default(),
            attempts: Family::default(),
            attempts_not_made: Family::default(),
            attempt_duration: Family::new_with_constructor(attempt_duration),
            delivery_age: delivery_age(),
            start_lag: Histogram::new(LAG),
            deliveries_ended: Family::default(),
            circuit_transitions: Family::default(),
            endpoints_disabled: Family::default(),
            leases_lost: Counter::default(),
            rescued: Counter::default(),
            settlements_stale: Counter::default(),
            notices_missed: Counter::default(),
            storage_call_duration: Family::new_with_constructor(call_duration),
            storage_errors: Family::default(),
            commit_batch_size: Histogram::new(BATCH),
            settle_batch_size: Histogram::new(BATCH),
            connections: Family::default(),
        };
        instruments.begin();
        instruments
    }
}

impl Instruments {
    /// Begins the series that are known beforehand at zero: an increase from nothing to one would be
    /// none to who compares two scrapes.
    fn begin(&self) {
        let sent = SentOutcome::ALL.iter().map(|outcome| outcome.as_str());
        begin(&self.events_sent, sent.map(|outcome| Outcome { outcome }));
        let reasons = ["not_tried", "cut_off"].into_iter();
        begin(
            &self.attempts_not_made,
            reasons.map(|reason| NotMade { reason }),
        );
        let dead = DeadReason::ALL.iter().copied().map(DeliveryEnd::Dead);
        let cancelled = CancelReason::ALL.iter().copied().map(Some);
        let cancelled = cancelled.chain([None]).map(DeliveryEnd::Cancelled);
        let ends = dead.chain(cancelled).chain([DeliveryEnd::Delivered]);
        begin(&self.deliveries_ended, ends.map(Ended::of));
        let told = [CircuitState::Closed, CircuitState::Open].into_iter();
        let told = told.map(|state| To { to: state.as_str() });
        begin(&self.circuit_transitions, told);
        let by = DisabledBy::ALL.iter().map(|by| By { by: by.as_str() });
        begin(&self.endpoints_disabled, by);
        for transient in ["true", "false"] {
            let calls = CALLS.map(|call| CallFailed { call, transient });
            begin(&self.storage_errors, calls);
        }
        let kinds = ["new", "reused"].into_iter();
        begin(&self.connections, kinds.map(|kind| Kind { kind }));
    }

    /// Has them all written down with the registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.register_deliveries(registry);
        self.register_process(registry);
        self.register_storage(registry);
    }

    fn register_deliveries(&self, to: &mut Registry) {
        add(
            to,
            "events_sent",
            "Events sent by this process",
            &self.events_sent,
        );
        add(
            to,
            "attempts",
            "Requests that came to a result",
            &self.attempts,
        );
        let help = "Requests that were not sent, or cut off at the end of the process";
        add(to, "attempts_not_made", help, &self.attempts_not_made);
        let help = "How long attempts took, up to the headers of an accepted response";
        add(to, "attempt_duration_seconds", help, &self.attempt_duration);
        let help = "Time from the sending of an event to its arrival at an endpoint";
        add(to, "delivery_age_seconds", help, &self.delivery_age);
        let help = "Time from when a delivery was due to the start of its request";
        add(to, "start_lag_seconds", help, &self.start_lag);
        let help = "Deliveries that this process brought to an end";
        add(to, "deliveries_ended", help, &self.deliveries_ended);
    }

    fn register_process(&self, to: &mut Registry) {
        let help = "Circuits that opened or closed, as this process sees them";
        add(to, "circuit_transitions", help, &self.circuit_transitions);
        let help = "Endpoints that this process disabled";
        add(to, "endpoints_disabled", help, &self.endpoints_disabled);
        let help = "Times that this process lost all its leases";
        add(to, "leases_lost", help, &self.leases_lost);
        let help = "Deliveries of dead processes that this one took back";
        add(to, "rescued", help, &self.rescued);
        let help = "Attempts whose lease was lost before they were stored";
        add(to, "settlements_stale", help, &self.settlements_stale);
        let help = "Notices that listeners were too slow for";
        add(to, "notices_missed", help, &self.notices_missed);
        let help = "Connections that requests were sent on";
        add(to, "connections", help, &self.connections);
    }

    fn register_storage(&self, to: &mut Registry) {
        let help = "How long calls of the storage took";
        add(
            to,
            "storage_call_duration_seconds",
            help,
            &self.storage_call_duration,
        );
        let help = "Calls of the storage that failed";
        add(to, "storage_errors", help, &self.storage_errors);
        let help = "Events stored in one commit";
        add(to, "commit_batch_size", help, &self.commit_batch_size);
        let help = "Outcomes stored in one call";
        add(to, "settle_batch_size", help, &self.settle_batch_size);
    }
}

fn begin<L>(counters: &Counters<L>, labels: impl IntoIterator<Item = L>)
where
    L: Clone + Eq + std::hash::Hash + EncodeLabelSet,
{
    for labels in labels {
        drop(counters.get_or_create(&labels));
    }
}

/// Registers a metric by its name behind `webhooks_`. What is cloned shares what it counts.
fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(format!("webhooks_{name}"), help, metric.clone());
}

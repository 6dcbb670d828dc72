//! What this process counts about attempts.
//!
//! What the storage counts is the same for all processes and survives restarts; what is counted
//! here is of one process since it started. A sum over processes of the former would count
//! everything several times.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use webhooks_core::storage::{Counts, StatNumbers};
use webhooks_core::{Circuit, DeliveryResult};

/// The longest latency that is told apart, in microseconds: one hour.
/// No attempt can take longer: it is the longest timeout.
const LONGEST: u64 = 3_600_000_000;

/// The system in numbers: how many deliveries there are, from the storage, and how its attempts
/// went, as this process has seen them since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Deliveries created.
    pub total_deliveries: u64,
    /// Deliveries that arrived.
    pub successful_deliveries: u64,
    /// Deliveries that ended dead.
    pub failed_deliveries: u64,
    /// Mean latency of this process's successful attempts, in milliseconds; 0 without any.
    /// From the start of an attempt to the end of what is read of the response.
    pub avg_latency_ms: f64,
    /// Everything that the storage counts.
    pub counts: Counts,
    /// This process's attempts.
    pub attempts: AttemptMetrics,
    /// What the storage refuses of this process, which waits for somebody to mend that.
    /// Above zero it is something to alert on.
    pub refused: RefusedMetrics,
}

impl Metrics {
    /// What the storage counts, with what this process does.
    #[must_use]
    pub fn new(counts: Counts, attempts: AttemptMetrics, refused: RefusedMetrics) -> Self {
        Self {
            total_deliveries: counts.enqueued,
            successful_deliveries: counts.delivered,
            failed_deliveries: counts.dead,
            avg_latency_ms: attempts.mean_ms,
            counts,
            attempts,
            refused,
        }
    }
}

/// What a storage refused for good, each alone, while it took what was beside it. Each was logged as
/// an error with the reason; nothing of it is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefusedMetrics {
    /// Outcomes of deliveries and gates that this process keeps aside now and tries again at least
    /// every 5 minutes.
    pub outcomes: usize,
    /// Events that this process set aside in the outbox since it started. They come out again after
    /// ten minutes.
    pub outbox_events: usize,
}

/// One endpoint in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EndpointMetrics {
    /// The endpoint.
    pub endpoint_id: String,
    /// Everything that the storage counts of it.
    pub counts: Counts,
    /// This process's attempts at it.
    pub attempts: AttemptMetrics,
    /// Its circuit, as this process sees it.
    pub circuit: Circuit,
    /// Its requests in flight from this process.
    pub in_flight: usize,
}

impl EndpointMetrics {
    /// What the storage counts of an endpoint, with what this process does there.
    #[must_use]
    pub const fn new(
        endpoint_id: String,
        counts: Counts,
        attempts: AttemptMetrics,
        circuit: Circuit,
        in_flight: usize,
    ) -> Self {
        Self {
            endpoint_id,
            counts,
            attempts,
            circuit,
            in_flight,
        }
    }
}

/// How attempts went, as this process has seen them since it started. Latencies are those of
/// successful attempts, in milliseconds, exact to about 6 %.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AttemptMetrics {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were not the first of their delivery.
    /// They are among the succeeded and the failed, too.
    pub retried: u64,
    /// Mean latency.
    pub mean_ms: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 95th percentile of the latency.
    pub p95_ms: f64,
    /// 99th percentile of the latency.
    pub p99_ms: f64,
    /// Longest latency.
    pub max_ms: f64,
    /// The same, to be added up: failures by kind, latencies in classes, and what was sent and given
    /// up.
    pub numbers: StatNumbers,
}

/// Counts attempts as they end. Nothing is kept of an endpoint at which nothing has happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttemptCounter(Option<Box<Counted>>);

#[derive(Clone, Debug, Default)]
struct Counted {
    retried: u64,
    /// All that has happened, and how much of it was taken.
    numbers: StatNumbers,
    told: StatNumbers,
    has_untold: bool,
    /// In microseconds; made with the first success, since many endpoints never have one.
    /// One significant digit: about 2 KiB for an endpoint, where two would take 13.
    latency: Option<Histogram<u32>>,
}

impl AttemptCounter {
    /// Counts the attempt with this number.
    ///
    /// Each attempt once, when its request ends, though its settlement may come to be stale.
    pub(crate) fn count(&mut self, number: u32, result: &DeliveryResult) {
        let counted = self.counted();
        counted.retried += u64::from(number > 1);
        counted.numbers.count(result);
        if result.is_delivered() {
            counted.succeeded(result.duration);
        }
    }

    /// The numbers, to be changed.
    pub(crate) fn numbers_mut(&mut self) -> &mut StatNumbers {
        &mut self.counted().numbers
    }

    /// Whether all that has happened was taken.
    pub(crate) fn is_told(&self) -> bool {
        self.0.as_ref().is_none_or(|counted| !counted.has_untold)
    }

    /// What has happened since the last call.
    pub(crate) fn take_untold(&mut self) -> StatNumbers {
        let Some(counted) = &mut self.0 else {
            return StatNumbers::default();
        };
        counted.has_untold = false;
        let told = std::mem::replace(&mut counted.told, counted.numbers.clone());
        counted.numbers.since(&told)
    }

    pub(crate) fn metrics(&self) -> AttemptMetrics {
        let Some(counted) = &self.0 else {
            return AttemptMetrics::default();
        };
        let counts = AttemptMetrics {
            failed: counted.numbers.failed,
            retried: counted.retried,
            numbers: counted.numbers.clone(),
            ..AttemptMetrics::default()
        };
        let Some(latency) = &counted.latency else {
            return counts;
        };
        #[expect(clippy::cast_precision_loss, reason = "under an hour in microseconds")]
        let quantile = |q| latency.value_at_quantile(q) as f64 / 1_000.0;
        AttemptMetrics {
            succeeded: latency.len(),
            mean_ms: latency.mean() / 1_000.0,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: quantile(1.0),
            ..counts
        }
    }

    fn counted(&mut self) -> &mut Counted {
        let counted = self.0.get_or_insert_default();
        counted.has_untold = true;
        counted
    }
}

impl Counted {
    fn succeeded(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros())
            .unwrap_or(LONGEST)
            .clamp(1, LONGEST);
        if self.latency.is_none() {
            self.latency = Histogram::new_with_bounds(1, LONGEST, 1).ok();
        }
        if let Some(latency) = &mut self.latency {
            latency.saturating_record(micros);
        }
    }
}

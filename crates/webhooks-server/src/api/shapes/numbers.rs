//! Numbers as callers see them.

use better_auth_webhooks::storage::{Counts, LATENCY_BOUNDS_MS, StatBucket, WorkerRecord};
use better_auth_webhooks::{AttemptMetrics, Metrics};
use serde::Serialize;
use utoipa::ToSchema;
use webhooks_core::Timestamp;

/// How many deliveries there are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub(in crate::api) struct CountsView {
    /// Made so far: the sum of the others, but for those that are suspended.
    enqueued: u64,
    /// Arrived.
    delivered: u64,
    /// Were given up.
    dead: u64,
    /// Were cancelled.
    cancelled: u64,
    /// Were given up and dropped.
    purged: u64,
    /// Wait for those before them in their order.
    blocked: u64,
    /// Wait for a worker.
    ready: u64,
    /// Wait for their time.
    scheduled: u64,
    /// A worker has them.
    leased: u64,
    /// Of those that wait, at endpoints that are paused, held or disabled.
    suspended: u64,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        Self {
            enqueued: counts.enqueued,
            delivered: counts.delivered,
            dead: counts.dead,
            cancelled: counts.cancelled,
            purged: counts.purged,
            blocked: counts.blocked,
            ready: counts.ready,
            scheduled: counts.scheduled,
            leased: counts.leased,
            suspended: counts.suspended,
        }
    }
}

/// The system in numbers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Metrics)]
pub(in crate::api) struct NumbersView {
    /// Of all processes, as the storage counts.
    cluster: ClusterView,
    /// Of the process that answers, since it started.
    process: AttemptsView,
}

#[derive(Debug, Serialize, ToSchema)]
struct ClusterView {
    /// How many deliveries there are.
    counts: CountsView,
    /// Since when the delivery waits that has been ready for longest.
    oldest_ready_at: Option<String>,
}

/// How attempts went. Latencies are those of attempts that were accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AttemptsView {
    /// Attempts that were accepted.
    succeeded: u64,
    /// Attempts that were not.
    failed: u64,
    /// Attempts that were not the first of their delivery.
    retried: u64,
    /// Mean latency, in milliseconds.
    mean_ms: f64,
    /// Median latency.
    p50_ms: f64,
    /// 95th percentile of the latency.
    p95_ms: f64,
    /// 99th percentile of the latency.
    p99_ms: f64,
    /// Longest latency.
    max_ms: f64,
}

impl From<&AttemptMetrics> for AttemptsView {
    fn from(metrics: &AttemptMetrics) -> Self {
        Self {
            succeeded: metrics.succeeded,
            failed: metrics.failed,
            retried: metrics.retried,
            mean_ms: metrics.mean_ms,
            p50_ms: metrics.p50_ms,
            p95_ms: metrics.p95_ms,
            p99_ms: metrics.p99_ms,
            max_ms: metrics.max_ms,
        }
    }
}

impl NumbersView {
    pub(in crate::api) fn new(metrics: &Metrics, oldest_ready: Option<Timestamp>) -> Self {
        Self {
            cluster: ClusterView {
                counts: metrics.counts.into(),
                oldest_ready_at: oldest_ready.map(|at| at.to_string()),
            },
            process: (&metrics.attempts).into(),
        }
    }
}

/// A process that delivers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub(in crate::api) struct WorkerView {
    /// Identifies the process.
    id: String,
    /// When it last told that it lives.
    seen_at: String,
    /// A worker has them.
    leased: u64,
}

impl From<WorkerRecord> for WorkerView {
    fn from(worker: WorkerRecord) -> Self {
        Self {
            id: worker.id.to_string(),
            seen_at: worker.seen_at.to_string(),
            leased: worker.leased,
        }
    }
}

/// Numbers over time, one list for each. A process that died has not told of its last ten seconds.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Series)]
pub(in crate::api) struct SeriesView {
    /// The endpoint that it is of, if each has its own.
    endpoint_id: Option<String>,
    /// When each bucket begins. Buckets in which nothing happened are left out.
    at: Vec<String>,
    /// Deliveries that were made.
    sent: Vec<u64>,
    /// Arrived.
    delivered: Vec<u64>,
    /// Attempts that were not.
    failed: Vec<u64>,
    /// Were given up.
    dead: Vec<u64>,
    /// Upper bounds of what so many per cent of accepted attempts took; null without any, or above
    /// a minute.
    p50_ms: Vec<Option<u64>>,
    /// 95th percentile of the latency.
    p95_ms: Vec<Option<u64>>,
    /// 99th percentile of the latency.
    p99_ms: Vec<Option<u64>>,
}

impl SeriesView {
    /// Buckets in series: one for each endpoint that they name, in the order of their first.
    pub(in crate::api) fn all(buckets: &[StatBucket]) -> Vec<Self> {
        let mut series: Vec<Self> = Vec::new();
        for bucket in buckets {
            let endpoint_id = bucket.endpoint_id.as_deref();
            let is_of = |of: &Self| of.endpoint_id.as_deref() == endpoint_id;
            let place = series.iter().position(is_of).unwrap_or(series.len());
            if place == series.len() {
                series.push(Self {
                    endpoint_id: endpoint_id.map(str::to_owned),
                    ..Self::default()
                });
            }
            if let Some(of) = series.get_mut(place) {
                of.push(bucket);
            }
        }
        series
    }

    fn push(&mut self, bucket: &StatBucket) {
        let numbers = &bucket.numbers;
        self.at.push(bucket.at.to_string());
        self.sent.push(numbers.sent);
        self.delivered.push(numbers.delivered);
        self.failed.push(numbers.failed);
        self.dead.push(numbers.dead);
        self.p50_ms.push(quantile(&numbers.latency, 50));
        self.p95_ms.push(quantile(&numbers.latency, 95));
        self.p99_ms.push(quantile(&numbers.latency, 99));
    }
}

/// The upper bound of the class in which so many per cent end.
fn quantile(classes: &[u64], percent: u64) -> Option<u64> {
    let all: u64 = classes.iter().sum();
    let rank = (all * percent).div_ceil(100).max(1);
    let mut seen = 0;
    let place = classes.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    place.and_then(|place| LATENCY_BOUNDS_MS.get(place).copied())
}

//! Numbers over time.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::named::named;
use crate::text_rule::id_problem;
use crate::{DeliveryResult, FailureKind, Outcome, Result, Timestamp, WebhookError};

/// How long numbers of minutes are kept.
pub const STAT_MINUTES_KEPT: Duration = Duration::from_secs(48 * 3_600);
/// How long numbers of hours are kept.
pub const STAT_HOURS_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// The upper bounds of the latency's classes, in milliseconds; the last class has none.
pub const LATENCY_BOUNDS_MS: [u64; 16] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000,
];
/// The most buckets of one answer.
pub const MAX_BUCKETS: usize = 1_440;

/// What happened in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatNumbers {
    /// Deliveries that were made.
    pub sent: u64,
    /// Attempts that were accepted.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// The time that accepted attempts took together, in microseconds.
    pub latency_us: u64,
    /// Accepted attempts by how long they took, in the classes of [`LATENCY_BOUNDS_MS`].
    pub latency: [u64; LATENCY_BOUNDS_MS.len() + 1],
    /// Failed attempts by why, in the order of [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
}

impl StatNumbers {
    /// Adds other numbers to these.
    pub fn add(&mut self, other: &Self) {
        let sums = self.to_list();
        let sums: Vec<_> = sums
            .iter()
            .zip(other.to_list())
            .map(|(a, b)| a + b)
            .collect();
        *self = Self::from_list(&sums);
    }

    /// Counts an attempt that came out so.
    pub fn count(&mut self, result: &DeliveryResult) {
        match result.outcome {
            Outcome::Delivered => {
                self.delivered += 1;
                let micros = u64::try_from(result.duration.as_micros()).unwrap_or(u64::MAX);
                self.latency_us = self.latency_us.saturating_add(micros);
                let millis = micros.div_ceil(1_000);
                let class = LATENCY_BOUNDS_MS.partition_point(|bound| *bound < millis);
                if let Some(count) = self.latency.get_mut(class) {
                    *count += 1;
                }
            }
            Outcome::Failed(kind) => {
                self.failed += 1;
                let kinds = FailureKind::ALL.iter().zip(&mut self.failures);
                for (_, count) in kinds.filter(|(of, _)| **of == kind) {
                    *count += 1;
                }
            }
        }
    }

    /// What these are more than earlier ones.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let (now, then) = (self.to_list(), earlier.to_list());
        let more = now
            .iter()
            .zip(then)
            .map(|(now, then)| now.saturating_sub(then));
        Self::from_list(&more.collect::<Vec<_>>())
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All of them in one list, for a storage to keep and to add up: of one length, in one order,
    /// to whose end new ones may be added.
    #[must_use]
    pub fn to_list(&self) -> Vec<u64> {
        let first = [
            self.sent,
            self.delivered,
            self.failed,
            self.dead,
            self.latency_us,
        ];
        let rest = self.latency.iter().chain(&self.failures);
        first.iter().chain(rest).copied().collect()
    }

    /// The numbers that were kept in this list; what is missing at its end is 0.
    #[must_use]
    pub fn from_list(list: &[u64]) -> Self {
        let mut list = list.iter().copied();
        let mut next = || list.next().unwrap_or(0);
        Self {
            sent: next(),
            delivered: next(),
            failed: next(),
            dead: next(),
            latency_us: next(),
            latency: std::array::from_fn(|_| next()),
            failures: std::array::from_fn(|_| next()),
        }
    }
}

/// What is to be added to the numbers of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatDelta {
    /// Which endpoint.
    pub endpoint_id: Arc<str>,
    /// When it happened: it is added to the minute and to the hour of this time.
    pub at: Timestamp,
    /// What happened.
    pub numbers: StatNumbers,
}

/// The length of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatResolution {
    /// A minute; kept for 48 hours.
    Minute,
    /// An hour; kept for 90 days.
    Hour,
}

named!(StatResolution, "resolution of statistics", {
    Minute => "minute",
    Hour => "hour",
});

impl StatResolution {
    /// How long a bucket is.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3_600),
        }
    }

    /// How long its numbers are kept.
    #[must_use]
    pub const fn kept(self) -> Duration {
        match self {
            Self::Minute => STAT_MINUTES_KEPT,
            Self::Hour => STAT_HOURS_KEPT,
        }
    }

    /// The begin of the bucket that holds this time.
    #[must_use]
    pub fn begin(self, at: Timestamp) -> Timestamp {
        let length = i64::try_from(self.length().as_millis()).unwrap_or(1);
        Timestamp::from_millis(at.as_millis().div_euclid(length).saturating_mul(length))
    }
}

/// Which numbers.
#[derive(Clone, Debug)]
pub struct StatQuery {
    /// Of these endpoints; `None` means all.
    pub endpoint_ids: Option<Vec<Arc<str>>>,
    /// Buckets that begin at this time or later.
    pub from: Timestamp,
    /// Buckets that begin before this time.
    pub to: Timestamp,
    /// Their length.
    pub resolution: StatResolution,
    /// One bucket for each endpoint instead of one for all.
    pub per_endpoint: bool,
}

impl StatQuery {
    /// Checks every field. Storages call it before they look.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`] that names the field and its bound.
    pub fn validate(&self) -> Result<()> {
        let ids = self.endpoint_ids.as_deref();
        super::query::check_ids("endpoint_ids", ids)?;
        let buckets = self.to.since(self.from).as_secs() / self.resolution.length().as_secs();
        let problem = ids
            .and_then(|ids| ids.iter().find_map(|id| id_problem("endpoint_ids", id)))
            .or_else(|| {
                let is_long = buckets > MAX_BUCKETS as u64;
                is_long.then(|| {
                    format!("from and to are {buckets} buckets apart, at most {MAX_BUCKETS}")
                })
            });
        match problem {
            None => Ok(()),
            Some(problem) => Err(WebhookError::InvalidQuery(problem.into())),
        }
    }
}

/// What happened in one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatBucket {
    /// When it begins.
    pub at: Timestamp,
    /// Of which endpoint, if that was asked for.
    pub endpoint_id: Option<Arc<str>>,
    /// What happened.
    pub numbers: StatNumbers,
}

impl StatBucket {
    /// A bucket that begins then.
    #[must_use]
    pub const fn new(at: Timestamp, endpoint_id: Option<Arc<str>>, numbers: StatNumbers) -> Self {
        Self {
            at,
            endpoint_id,
            numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_their_list() {
        let list: Vec<_> = (1..=StatNumbers::default().to_list().len() as u64).collect();
        let mut numbers = StatNumbers::from_list(&list);
        assert_eq!(numbers.to_list(), list);
        numbers.add(&StatNumbers::from_list(&[10]));
        assert_eq!((numbers.sent, numbers.delivered), (11, 2));
        assert!(StatNumbers::from_list(&[]).is_empty());
    }

    #[test]
    fn a_bucket_begins_with_its_minute_or_hour() {
        let at = Timestamp::from_millis(3_725_001);
        assert_eq!(
            StatResolution::Minute.begin(at),
            Timestamp::from_secs(3_720)
        );
        assert_eq!(StatResolution::Hour.begin(at), Timestamp::from_secs(3_600));
        assert_eq!(
            StatResolution::Hour.begin(Timestamp::from_millis(-1)),
            Timestamp::from_secs(-3_600)
        );
    }
}

//! The series of single endpoints.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::histogram::Histogram;
use webhooks_core::{DeliveryEnd, DeliveryResult, DeliveryState, EndedInfo};

use crate::endpoint_labels::EndpointLabels;
use crate::instruments::{attempt_duration, delivery_age};
use crate::labels::{EndpointOutcome, EndpointState, OfEndpoint};

/// The states that are counted, in the order of [`Series::ended`].
const ENDED: [DeliveryState; 3] = [
    DeliveryState::Delivered,
    DeliveryState::Dead,
    DeliveryState::Cancelled,
];

/// Counts what happens at single endpoints. Clones share what they count.
#[derive(Clone, Debug)]
pub(crate) struct EndpointSeries {
    which: Which,
    all: Arc<Mutex<HashMap<Arc<str>, Series>>>,
}

#[derive(Clone, Debug)]
enum Which {
    TopN(usize),
    These(Arc<HashSet<String>>),
}

/// One endpoint.
#[derive(Debug)]
struct Series {
    delivered: u64,
    failed: u64,
    ended: [u64; ENDED.len()],
    duration: Histogram,
    age: Histogram,
}

impl EndpointSeries {
    /// Counts what these labels ask for; `None` if that is nothing.
    pub(crate) fn new(labels: EndpointLabels) -> Option<Self> {
        let which = match labels {
            EndpointLabels::Off => return None,
            EndpointLabels::TopN(count) => Which::TopN(count),
            EndpointLabels::These(ids) => Which::These(Arc::new(ids.into_iter().collect())),
        };
        let all = Arc::default();
        Some(Self { which, all })
    }

    pub(crate) fn attempted(&self, endpoint_id: &str, result: &DeliveryResult) {
        self.change(endpoint_id, |series| {
            if result.is_delivered() {
                series.delivered += 1;
            } else {
                series.failed += 1;
            }
            series.duration.observe(result.duration.as_secs_f64());
        });
    }

    pub(crate) fn ended(&self, info: &EndedInfo<'_>) {
        self.change(info.endpoint_id, |series| {
            let state = info.end.state();
            let counts = series.ended.iter_mut().zip(ENDED);
            for (count, counted) in counts {
                *count += u64::from(counted == state);
            }
            if info.end == DeliveryEnd::Delivered {
                series.age.observe(info.age.as_secs_f64());
            }
        });
    }

    fn change(&self, endpoint_id: &str, change: impl FnOnce(&mut Series)) {
        if let Which::These(ids) = &self.which
            && !ids.contains(endpoint_id)
        {
            return;
        }
        let mut all = self.lock();
        if let Some(series) = all.get_mut(endpoint_id) {
            return change(series);
        }
        change(all.entry(endpoint_id.into()).or_insert_with(Series::new));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Series>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Series {
    fn new() -> Self {
        Self {
            delivered: 0,
            failed: 0,
            ended: [0; ENDED.len()],
            duration: attempt_duration(),
            age: delivery_age(),
        }
    }

    const fn attempts(&self) -> u64 {
        self.delivered + self.failed
    }
}

impl Collector for EndpointSeries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.lock();
        let mut shown: Vec<_> = all.iter().collect();
        // By id where they are equal, so that the same ones are shown the next time.
        shown.sort_unstable_by_key(|(id, series)| (u64::MAX - series.attempts(), *id));
        if let Which::TopN(count) = self.which {
            shown.truncate(count);
        }
        encode_attempts(&mut encoder, &shown)?;
        encode_ended(&mut encoder, &shown)?;
        let (name, help) = (
            "webhooks_endpoint_attempt_duration_seconds",
            "How long attempts at an endpoint took",
        );
        encode_histograms(&mut encoder, (name, help), &shown, |series| {
            &series.duration
        })?;
        let (name, help) = (
            "webhooks_endpoint_delivery_age_seconds",
            "Time from the sending of an event to its arrival at an endpoint",
        );
        encode_histograms(&mut encoder, (name, help), &shown, |series| &series.age)
    }
}

type Shown<'a> = [(&'a Arc<str>, &'a Series)];

fn encode_attempts(encoder: &mut DescriptorEncoder<'_>, shown: &Shown<'_>) -> fmt::Result {
    let (name, help) = ("webhooks_endpoint_attempts", "Attempts at an endpoint");
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (id, series) in shown {
        let counts = [("delivered", series.delivered), ("failed", series.failed)];
        for (outcome, count) in counts {
            let labels = EndpointOutcome {
                endpoint_id: (*id).clone(),
                outcome,
            };
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_ended(encoder: &mut DescriptorEncoder<'_>, shown: &Shown<'_>) -> fmt::Result {
    let (name, help) = (
        "webhooks_endpoint_deliveries_ended",
        "Deliveries to an endpoint that ended",
    );
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (id, series) in shown {
        for (state, count) in ENDED.iter().zip(series.ended) {
            let labels = EndpointState {
                endpoint_id: (*id).clone(),
                state: state.as_str(),
            };
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_histograms(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    shown: &Shown<'_>,
    of: impl Fn(&Series) -> &Histogram,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (id, series) in shown {
        let labels = OfEndpoint {
            endpoint_id: (*id).clone(),
        };
        of(series).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

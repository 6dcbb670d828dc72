//! Endpoints, and how each responds, as time goes on.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use webhooks_core::{
    BatchConfig, DeliveryResult, FailureKind, OrderBy, Outcome, RateLimitConfig, Timestamp,
    WebhookEndpoint,
};

use super::plan::Class;
use crate::settings::Settings;

/// Types of events.
pub(super) const TYPES: [&str; 6] = ["a", "a.b", "a.c", "b.a", "b.b.c", "c"];
const FILTERS: [&str; 7] = ["*", "a", "a.*", "a.b", "b.*", "b.b.*", "c"];

/// How an endpoint responds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Behaviour {
    /// 200, after up to so many milliseconds.
    Well { within: u64 },
    /// As often as not, 500.
    Flaky,
    /// A failure after up to 100 ms.
    Fails(FailureKind, u16),
    /// 429 or 503, with so many seconds of `Retry-After`.
    AsksToWait { status: u16, seconds: u64 },
    /// Nothing, up to the timeout.
    Hangs,
    /// Nothing is sent, for something that the process lacks.
    NotTried,
    /// 400 to batches, 200 to one.
    RefusesBatches { status: u16 },
}

/// An endpoint as it is registered first, and how it behaves: from each time on, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct EndpointPlan {
    pub(super) endpoint: WebhookEndpoint,
    pub(super) script: Vec<(u64, Behaviour)>,
    /// When it is registered, in milliseconds.
    pub(super) registered: u64,
}

impl EndpointPlan {
    /// How it behaves at a time; well, once all is over.
    pub(super) fn behaviour(&self, ms: u64, ends: u64) -> Behaviour {
        if ms >= ends {
            return Behaviour::Well { within: 20 };
        }
        let now = self.script.iter().rev().find(|(from, _)| *from <= ms);
        now.map_or(Behaviour::Well { within: 20 }, |(_, behaviour)| *behaviour)
    }
}

pub(super) fn draw(
    rng: &mut Rng,
    class: Class,
    settings: &Settings,
    ends: u64,
) -> Vec<EndpointPlan> {
    let count = match class {
        Class::Tenants => rng.usize(4..=20),
        _ => rng.usize(1..=12),
    };
    let calm = class == Class::Calm;
    let tenants = if class == Class::Tenants { 4 } else { 2 };
    let plan = |n: usize| {
        let late = !calm && rng.u8(0..6) == 0;
        EndpointPlan {
            endpoint: endpoint(rng, class, settings, n, tenants),
            script: script(rng, class, ends),
            registered: if late { rng.u64(0..ends) } else { 0 },
        }
    };
    (0..count).map(plan).collect()
}

/// Lets some endpoints order what they get. What dies holds nothing, so that all ends.
pub(super) fn draw_orders(rng: &mut Rng, endpoints: &mut [EndpointPlan]) {
    for plan in endpoints {
        let endpoint = &mut plan.endpoint;
        endpoint.ordering = match rng.u8(0..4) {
            0 => OrderBy::None,
            1 if endpoint.batch.is_none() => OrderBy::All,
            _ => OrderBy::Key,
        };
    }
}

fn endpoint(
    rng: &mut Rng,
    class: Class,
    settings: &Settings,
    n: usize,
    tenants: u8,
) -> WebhookEndpoint {
    let calm = class == Class::Calm;
    let has_tenant = class == Class::Tenants || rng.u8(0..3) == 0;
    let own_limit = !calm && rng.u8(0..6) == 0;
    let batches = class.is(Class::Batches) && rng.bool();
    let patient = rng.u8(0..5) == 0;
    WebhookEndpoint {
        id: format!("e{n}"),
        url: url(rng),
        secret: "secret".into(),
        events: filters(rng),
        rate_limit: own_limit.then(|| limit(rng)),
        tenant: has_tenant.then(|| format!("t{}", rng.u8(0..tenants))),
        batch: batches.then(|| batch(rng)),
        timeout_seconds: if patient {
            settings.timeout.as_secs() + rng.u64(1..4)
        } else {
            0
        },
        ..WebhookEndpoint::default()
    }
}

pub(super) fn url(rng: &mut Rng) -> String {
    format!("https://h{}.example/{}", rng.u8(0..3), rng.u8(0..100))
}

pub(super) fn filters(rng: &mut Rng) -> Vec<String> {
    let count = rng.usize(1..=3);
    (0..count)
        .map(|_| FILTERS[rng.usize(0..FILTERS.len())].to_owned())
        .collect()
}

pub(super) fn limit(rng: &mut Rng) -> RateLimitConfig {
    RateLimitConfig {
        requests_per_second: rng.u32(1..20),
        burst_size: rng.u32(1..5),
    }
}

pub(super) fn batch(rng: &mut Rng) -> BatchConfig {
    BatchConfig {
        max_events: rng.u32(1..8),
        max_wait_ms: *rng.choice(&[0, 50, 500, 3_000]).unwrap(),
        max_bytes: *rng.choice(&[100, 400, 100_000]).unwrap(),
    }
}

fn script(rng: &mut Rng, class: Class, ends: u64) -> Vec<(u64, Behaviour)> {
    if class == Class::Calm {
        let within = if rng.u8(0..4) == 0 { 3_000 } else { 90 };
        return vec![(0, Behaviour::Well { within })];
    }
    let mut script = Vec::new();
    let mut from = 0;
    while from < ends {
        script.push((from, behaviour(rng, class)));
        from += rng.u64(1_000..20_000);
    }
    script
}

fn behaviour(rng: &mut Rng, class: Class) -> Behaviour {
    let well = Behaviour::Well {
        within: *rng.choice(&[20, 90, 300, 3_000]).unwrap(),
    };
    let is_hostile = class.is(Class::Hostile);
    if rng.u8(0..10) < if is_hostile { 3 } else { 7 } {
        return well;
    }
    let failures = [
        (FailureKind::ServerError, 500),
        (FailureKind::ClientError, 404),
        (FailureKind::Connect, 0),
        (FailureKind::Redirect, 301),
        (FailureKind::TooLarge, 413),
        (FailureKind::UrlRefused, 0),
        (FailureKind::Gone, 410),
    ];
    match rng.u8(0..8) {
        0 => Behaviour::Flaky,
        1 | 2 => {
            let (kind, status) = failures[rng.usize(0..failures.len())];
            Behaviour::Fails(kind, status)
        }
        3 => Behaviour::AsksToWait {
            status: if rng.bool() { 429 } else { 503 },
            seconds: rng.u64(0..20),
        },
        4 => Behaviour::Hangs,
        5 => Behaviour::NotTried,
        6 => Behaviour::RefusesBatches {
            status: if rng.bool() { 400 } else { 413 },
        },
        _ => well,
    }
}

/// What comes of a request, and after how many microseconds; nothing comes of one that is not tried.
pub(super) fn respond(
    rng: &mut Rng,
    behaviour: Behaviour,
    is_batch: bool,
    timeout: Duration,
    now: Timestamp,
) -> (u64, Option<DeliveryResult>) {
    let quick = rng.u64(200..100_000);
    let failed = |kind| Outcome::Failed(kind);
    let (micros, outcome, status, wait) = match behaviour {
        Behaviour::Well { within } => {
            (rng.u64(100..=within * 1_000), Outcome::Delivered, 200, None)
        }
        Behaviour::Flaky if rng.bool() => (quick, Outcome::Delivered, 200, None),
        Behaviour::Flaky => (quick, failed(FailureKind::ServerError), 500, None),
        Behaviour::Fails(kind, status) => (quick, failed(kind), status, None),
        Behaviour::AsksToWait { status, seconds } => {
            let kind = match status {
                429 => FailureKind::TooManyRequests,
                _ => FailureKind::ServerError,
            };
            (
                quick,
                failed(kind),
                status,
                Some(Duration::from_secs(seconds)),
            )
        }
        Behaviour::Hangs => {
            let micros = u64::try_from(timeout.as_micros()).unwrap();
            (micros, failed(FailureKind::Timeout), 0, None)
        }
        Behaviour::NotTried => return (quick, None),
        Behaviour::RefusesBatches { status: 400 } if is_batch => {
            (quick, failed(FailureKind::ClientError), 400, None)
        }
        Behaviour::RefusesBatches { .. } if is_batch => {
            (quick, failed(FailureKind::TooLarge), 413, None)
        }
        Behaviour::RefusesBatches { .. } => (quick, Outcome::Delivered, 200, None),
    };
    let result = DeliveryResult {
        outcome,
        status: (status > 0).then_some(status),
        started_at: now,
        duration: Duration::from_micros(micros),
        retry_after: wait,
        response: Bytes::new(),
        response_headers: Vec::new(),
    };
    (micros, Some(result))
}

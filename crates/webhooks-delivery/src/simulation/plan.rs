//! What a seed stands for: a system, its endpoints, what happens to it, and what goes wrong.

use std::time::Duration;

use fastrand::Rng;
use webhooks_core::{CircuitBreakerConfig, RateLimitConfig, RetryStrategy};

use super::happening::{self, Planned};
use super::receiver::{self, EndpointPlan};
use crate::settings::Settings;

/// What a seed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing goes wrong: what can start starts at once.
    Calm,
    /// The storage and nodes fail.
    Faults,
    /// Endpoints do what they like.
    Hostile,
    /// Somebody changes endpoints all the time.
    Admin,
    /// Many tenants share few slots.
    Tenants,
    /// Endpoints take batches.
    Batches,
    /// Deliveries bring their process down.
    Poison,
    /// All of it.
    Everything,
}

impl Class {
    const ALL: [Self; 8] = [
        Self::Calm,
        Self::Faults,
        Self::Hostile,
        Self::Admin,
        Self::Tenants,
        Self::Batches,
        Self::Poison,
        Self::Everything,
    ];

    pub(super) const fn is(self, class: Self) -> bool {
        self as u8 == class as u8 || self as u8 == Self::Everything as u8
    }
}

/// Faults of storage calls, each so many times in a thousand calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Nothing is done, and that is known.
    pub(super) before: u32,
    /// It is done, and the answer is lost.
    pub(super) answer_lost: u32,
    /// It fails, and is done later.
    pub(super) done_later: u32,
    /// It takes seconds.
    pub(super) slow: u32,
}

/// A run, drawn from its seed. Without some of what happens in it, it is still a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) class: Class,
    pub(super) settings: Settings,
    pub(super) circuit: CircuitBreakerConfig,
    pub(super) nodes: usize,
    pub(super) endpoints: Vec<EndpointPlan>,
    /// Events have keys, by which endpoints may order them.
    pub(super) has_orders: bool,
    pub(super) happenings: Vec<Planned>,
    pub(super) faults: Faults,
    /// A storage call takes up to so many microseconds there and back.
    pub(super) latency: u64,
    /// The storage wakes who waits for work.
    pub(super) wakes: bool,
    /// Endpoints of one page.
    pub(super) page: usize,
    /// When the last happens, in milliseconds; from then on all is well.
    pub(super) ends: u64,
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rng = &mut rng;
        let class = Class::ALL[(seed % 8) as usize];
        let ends = match rng.u8(0..8) {
            // Long enough for a success to be forgotten.
            0 => rng.u64(80_000..200_000),
            _ => rng.u64(15_000..60_000),
        };
        let nodes = match class {
            Class::Calm | Class::Tenants => rng.usize(1..=2),
            _ => rng.usize(1..=4),
        };
        let settings = settings(rng, class);
        let mut endpoints = receiver::draw(rng, class, &settings, ends);
        // Drawn apart, so that the other seeds stay what they are.
        let has_orders = (seed / 8) % 4 == 1;
        if has_orders {
            receiver::draw_orders(&mut Rng::with_seed(seed), &mut endpoints);
        }
        let happenings = happening::draw(rng, class, nodes, &endpoints, ends);
        Self {
            seed,
            class,
            circuit: CircuitBreakerConfig {
                failure_threshold: rng.u32(1..=5),
                success_threshold: rng.u32(1..=3),
                timeout_seconds: rng.u64(1..=12),
                half_open_max_requests: settings.half_open_max_requests,
            },
            settings,
            nodes,
            endpoints,
            has_orders,
            happenings,
            faults: faults(rng, class),
            latency: match class {
                Class::Calm => rng.u64(50..2_000),
                _ => *rng.choice(&[200, 2_000, 20_000, 80_000]).unwrap(),
            },
            // A calm system of one process knows all by itself.
            wakes: (class == Class::Calm && nodes > 1) || rng.bool(),
            page: if rng.bool() { 1_000 } else { rng.usize(1..5) },
            ends,
        }
    }
}

fn settings(rng: &mut Rng, class: Class) -> Settings {
    let max_in_flight = match class {
        Class::Tenants => rng.usize(2..=8),
        _ => rng.usize(2..=32),
    };
    let limit = RateLimitConfig {
        requests_per_second: rng.u32(5..50),
        burst_size: rng.u32(1..20),
    };
    Settings {
        retry_strategy: RetryStrategy {
            max_retries: rng.u32(0..=6),
            initial_delay_ms: rng.u64(100..3_000),
            max_delay_ms: rng.u64(3_000..10_000),
            backoff_multiplier: 1.0 + 2.0 * rng.f64(),
        },
        rate_limit: (rng.u8(0..8) == 0 && class != Class::Calm).then_some(limit),
        timeout: Duration::from_secs(rng.u64(2..8)),
        workers: rng.usize(1..=4),
        max_in_flight,
        max_in_flight_per_endpoint: rng.usize(1..=8),
        max_in_flight_per_tenant: rng.bool().then(|| rng.usize(1..=max_in_flight)),
        max_tenant_timeout: Duration::from_secs(12),
        half_open_max_requests: rng.u32(1..=4),
        auto_disable_after: match rng.u8(0..4) {
            0 => None,
            _ => Some(Duration::from_millis(rng.u64(5_000..30_000))),
        },
        ..Settings::default()
    }
}

fn faults(rng: &mut Rng, class: Class) -> Faults {
    if !class.is(Class::Faults) {
        return Faults::default();
    }
    let mut often = || *rng.choice(&[0, 0, 5, 20, 100]).unwrap();
    Faults {
        before: often(),
        answer_lost: often(),
        done_later: often(),
        slow: often(),
    }
}

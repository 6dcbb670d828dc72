//! What happens to a system from outside.

use fastrand::Rng;
use webhooks_core::{BatchConfig, Priority, RateLimitConfig};

use super::plan::Class;
use super::receiver::{self, EndpointPlan, TYPES};

/// Something that happens, and when, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) ms: u64,
    pub(super) happening: Happening,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Send(Send),
    /// Endpoints, by their number, change their definition.
    Save(usize, Change),
    Delete(usize),
    Register(usize),
    Gate(usize, Switch),
    Kill(usize),
    /// For so many milliseconds.
    Pause(usize, u64),
    Start(usize),
    /// With so many milliseconds for what is in flight.
    ShutDown(usize, u64),
    /// All storage calls fail for so many milliseconds.
    Outage(u64),
    /// The storage refuses all of this endpoint for good, for so many milliseconds.
    Refuse(usize, u64),
    /// The storage's clock is set by so many milliseconds.
    Step(i64),
}

/// Events are sent by a node.
#[derive(Clone, Debug)]
pub(super) struct Send {
    pub(super) node: usize,
    pub(super) count: usize,
    pub(super) event_type: usize,
    pub(super) tenant: Option<u8>,
    pub(super) by_name: Option<usize>,
    pub(super) priority: Priority,
    pub(super) delay_ms: u64,
    pub(super) bytes: usize,
    pub(super) is_poison: bool,
    /// The sender finds the queue full.
    pub(super) is_dropped: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Url(String),
    Filters(Vec<String>),
    Batch(Option<BatchConfig>),
    RateLimit(Option<RateLimitConfig>),
    Timeout(u64),
    Tenant(Option<String>),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Switch {
    Pause,
    Resume,
    Disable,
    Enable,
    Reset,
}

pub(super) fn draw(
    rng: &mut Rng,
    class: Class,
    nodes: usize,
    endpoints: &[EndpointPlan],
    ends: u64,
) -> Vec<Planned> {
    let mut all = Vec::new();
    let sends = rng.usize(5..=80);
    for _ in 0..sends {
        let happening = Happening::Send(send(rng, class, nodes, endpoints.len()));
        all.push(Planned {
            ms: rng.u64(1_000..ends),
            happening,
        });
    }
    let mut some = |rng: &mut Rng, most: usize, make: &mut dyn FnMut(&mut Rng) -> Happening| {
        for _ in 0..rng.usize(0..=most) {
            let ms = rng.u64(1_000..ends);
            let happening = make(rng);
            all.push(Planned { ms, happening });
        }
    };
    let count = endpoints.len();
    let changes = if class.is(Class::Admin) { 25 } else { 2 };
    if class != Class::Calm {
        some(rng, changes, &mut |rng| {
            Happening::Save(rng.usize(0..count), change(rng, class))
        });
        some(rng, changes, &mut |rng| {
            Happening::Gate(rng.usize(0..count), switch(rng))
        });
        some(rng, changes / 3, &mut |rng| {
            Happening::Delete(rng.usize(0..count))
        });
        some(rng, changes / 3, &mut |rng| {
            Happening::Register(rng.usize(0..count))
        });
    }
    if class.is(Class::Faults) {
        some(rng, 2, &mut |rng| Happening::Kill(rng.usize(0..nodes)));
        some(rng, 2, &mut |rng| {
            Happening::Pause(rng.usize(0..nodes), rng.u64(100..30_000))
        });
        some(rng, 3, &mut |rng| Happening::Start(rng.usize(0..nodes)));
        some(rng, 2, &mut |rng| {
            Happening::ShutDown(rng.usize(0..nodes), rng.u64(0..5_000))
        });
        some(rng, 1, &mut |rng| Happening::Outage(rng.u64(100..15_000)));
        some(rng, 2, &mut |rng| {
            Happening::Refuse(rng.usize(0..count), rng.u64(100..20_000))
        });
        some(rng, 1, &mut |rng| Happening::Step(rng.i64(-3_000..1_000)));
    }
    all.sort_by_key(|planned| planned.ms);
    all
}

fn send(rng: &mut Rng, class: Class, nodes: usize, endpoints: usize) -> Send {
    let priorities = [Priority::Low, Priority::High, Priority::Critical];
    let is_urgent = rng.u8(0..4) == 0;
    Send {
        node: rng.usize(0..nodes),
        count: match rng.u8(0..12) {
            0 => rng.usize(10..60),
            1..4 => rng.usize(2..8),
            _ => 1,
        },
        event_type: rng.usize(0..TYPES.len()),
        tenant: rng.bool().then(|| rng.u8(0..4)),
        by_name: (rng.u8(0..4) == 0).then(|| rng.usize(0..endpoints)),
        priority: if is_urgent {
            priorities[rng.usize(0..3)]
        } else {
            Priority::Normal
        },
        delay_ms: if rng.u8(0..6) == 0 {
            rng.u64(1..8_000)
        } else {
            0
        },
        bytes: rng.usize(1..200),
        is_poison: class.is(Class::Poison) && rng.u8(0..8) == 0,
        is_dropped: rng.u8(0..20) == 0,
    }
}

fn change(rng: &mut Rng, class: Class) -> Change {
    match rng.u8(0..8) {
        0 => Change::Url(receiver::url(rng)),
        1 | 2 => Change::Filters(receiver::filters(rng)),
        3 if class.is(Class::Batches) => Change::Batch(rng.bool().then(|| receiver::batch(rng))),
        4 => Change::RateLimit(rng.bool().then(|| receiver::limit(rng))),
        5 => Change::Timeout(rng.u64(0..12)),
        6 => Change::Tenant(rng.bool().then(|| format!("t{}", rng.u8(0..4)))),
        _ => Change::Nothing,
    }
}

fn switch(rng: &mut Rng) -> Switch {
    let all = [
        Switch::Pause,
        Switch::Resume,
        Switch::Disable,
        Switch::Enable,
        Switch::Reset,
    ];
    all[rng.usize(0..all.len())]
}

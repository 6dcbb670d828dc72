//! What a storage's author needs, and a dispatcher calls a storage with, besides
//! [what users meet](super).
//!
//! Types here are plain: who makes one writes all of its fields, so that a new one is something that
//! its maker must see; and a storage knows every variant of an enum. What users read besides may get
//! more fields at any time. A storage makes it with its constructor ([`EndpointRecord::new`],
//! [`DeliveryRecord::new`], [`AttemptRecord::new`], [`Page::new`], [`Changed::new`]) or from its
//! default ([`GateState`], [`Counts`]), and sets what it keeps.
//!
//! [`AttemptRecord::new`]: crate::AttemptRecord::new
//! [`Changed::new`]: super::Changed::new
//! [`Counts`]: super::Counts
//! [`DeliveryRecord::new`]: super::DeliveryRecord::new
//! [`EndpointRecord::new`]: super::EndpointRecord::new
//! [`GateState`]: super::GateState
//! [`Page::new`]: super::Page::new

use std::time::Duration;

pub use super::claim::{Beat, Claim, ClaimRoom, Claimed, HeldLease};
pub use super::counts::Swept;
pub use super::endpoints::{EndpointChanges, EndpointGate, GateChange};
pub use super::enqueue::{Enqueued, NewDelivery, NewEvent};
pub use super::fan_out::{FanOut, FanOutPart, PartPlace};
pub use super::outbox::OutboxEvent;
pub use super::settlement::{SettleAs, Settled, Settlement};

/// How long a worker may be silent before others may take its deliveries.
pub const WORKER_DEAD_AFTER: Duration = Duration::from_secs(12);
/// How often a worker beats at least.
pub const WORKER_BEAT_EVERY: Duration = Duration::from_secs(3);
/// The number of dead workers that makes a delivery poison.
pub const POISON_CRASHES: u32 = 3;
/// The number of dead workers that makes a delivery a poison suspect: it may be what kills them, so
/// that a worker has one of these in hand at a time.
pub const POISON_SUSPECT_CRASHES: u32 = POISON_CRASHES - 1;
/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);

//! What a storage's author needs, and the runtime calls a storage with, besides
//! [what users meet](super).
//!
//! Types here are plain: who makes one writes all of its fields, so that a new one is something that
//! its maker must see; and a storage knows every variant of an enum. What users read besides may get
//! more fields at any time. A storage makes it with its constructor ([`EndpointRecord::new`],
//! [`DeliveryRecord::new`], [`EventRecord::new`], [`AttemptRecord::new`], [`Page::new`],
//! [`Changed::new`], [`Groups::new`]) or from its default ([`GateState`], [`Counts`]), and sets what
//! it keeps.
//!
//! [`AttemptRecord::new`]: crate::AttemptRecord::new
//! [`Changed::new`]: super::Changed::new
//! [`Counts`]: super::Counts
//! [`DeliveryRecord::new`]: super::DeliveryRecord::new
//! [`EndpointRecord::new`]: super::EndpointRecord::new
//! [`EventRecord::new`]: super::EventRecord::new
//! [`GateState`]: super::GateState
//! [`Groups::new`]: super::Groups::new
//! [`Page::new`]: super::Page::new

pub use super::claim::{Beat, Claim, ClaimRoom, Claimed, HeldLease};
pub use super::constants::{
    IDEMPOTENCY_WINDOW, OUTBOX_REST, POISON_CRASHES, POISON_SUSPECT_CRASHES, WORKER_BEAT_EVERY,
    WORKER_DEAD_AFTER,
};
pub use super::counts::Swept;
pub use super::documents::{check_document, check_document_name};
pub use super::endpoints::EndpointChanges;
pub use super::enqueue::{Commit, Enqueued, NewDelivery, NewEvent};
pub use super::events::{DeliveredEvent, EventDelivery};
pub use super::fan_out::{FanOut, FanOutPart, PartPlace};
pub use super::fingerprint::Fingerprint;
pub use super::gates::{EndpointGate, GateChange};
pub use super::outbox::OutboxEvent;
pub use super::settlement::{SettleAs, Settled, Settlement};
pub use super::stats::StatDelta;

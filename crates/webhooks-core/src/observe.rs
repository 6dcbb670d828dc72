//! The seam between the system and whoever counts or traces what it does.
//!
//! What is told here is told to one observer, at once and completely, on the task that did it. Who
//! only wants to know what happens listens to notices instead, which may be missed.

mod attempt;
mod ended;
mod happening;
mod sent;
mod snapshot;
mod storage_call;

use std::fmt::Debug;

pub use self::attempt::{AttemptEnd, AttemptInfo};
pub use self::ended::{DeliveryEnd, EndedInfo};
pub use self::happening::Happening;
pub use self::sent::{SentInfo, SentOutcome};
pub use self::snapshot::{ClusterSnapshot, EndpointStates, ProcessSnapshot, Snapshot};
pub use self::storage_call::{StorageCall, StorageCallEnd};

use crate::storage::spi::EndpointGate;
use crate::{Circuit, TraceContext};

/// Is told what one process does, each thing once, and what is stored only after it was stored.
///
/// Every method does nothing unless it is implemented. All are called on the tasks that deliver, often
/// by many at a time: they return at once, wait for nothing and do no I/O. What comes of a delivery
/// does not depend on them: a panic is caught and logged, and the call then counts as answered with
/// nothing.
///
/// A process tells of what it does itself. What a storage does alone it does not tell one by one:
/// deliveries that die as poison or expire, and those that are cancelled while they wait. They are in
/// the storage's counts ([`ClusterSnapshot`]).
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use webhooks_core::{DeliveryEnd, EndedInfo, Observe};
///
/// #[derive(Debug, Default)]
/// struct Delivered(AtomicU64);
///
/// impl Observe for Delivered {
///     fn delivery_ended(&self, ended: &EndedInfo<'_>) {
///         if ended.end == DeliveryEnd::Delivered {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
#[expect(unused_variables, reason = "the names say what the arguments are")]
pub trait Observe: Debug + Send + Sync + 'static {
    /// An event was sent by this process, and its sender is about to be answered. Also of events that
    /// were sent inside transactions, by the process that makes their deliveries.
    ///
    /// An event for very many endpoints is told once, with the first part in which it is stored.
    fn event_sent(&self, sent: &SentInfo<'_>) {}

    /// A request is about to be made. [`attempt_ended`](Self::attempt_ended) follows in any case.
    ///
    /// The answer is what the request goes on with as its `traceparent`, if the system is set up to
    /// [continue](crate::TracePropagation::Continue) traces; else it is passed over.
    fn attempt_started(&self, attempt: &AttemptInfo<'_>) -> Option<TraceContext> {
        None
    }

    /// A request is over, though what came of it is not stored yet. `attempt` is as it was at the
    /// start.
    fn attempt_ended(&self, attempt: &AttemptInfo<'_>, end: AttemptEnd<'_>) {}

    /// A delivery is over, a replay aside, and that is stored.
    fn delivery_ended(&self, ended: &EndedInfo<'_>) {}

    /// A call of the storage is over; also those that the facade makes for its callers.
    fn storage_called(&self, call: &StorageCall) {}

    /// This process has stored a change of what lets the deliveries of an endpoint through. One that
    /// was void by the time it was stored is not told.
    fn gate_changed(&self, gate: &EndpointGate) {}

    /// The circuit of an endpoint opened or closed, as this process sees it; stored, so that other
    /// processes follow. That an open one becomes half-open is not told: time alone does that.
    fn circuit_changed(&self, endpoint_id: &str, circuit: Circuit) {}

    /// A request is on its way on a connection: one that was kept from an earlier request (`reused`),
    /// or a new one. Told by `DeliveryEngine`; other transports may have no connections.
    fn connection_used(&self, reused: bool) {}

    /// Something that operators want to count.
    fn happened(&self, happening: Happening) {}
}

//! The bounds of the storage. All of them are numbers of things or bytes that are known in advance,
//! so that what it takes at most can be reckoned.
//!
//! What goes over is treated by what its loss would mean. What is not yet promised is refused, so
//! that the sender knows; what was promised is buried where an operator finds it; what is over
//! falls out.

/// How much a [`MemoryStorage`](crate::MemoryStorage) holds at most.
///
/// A delivery takes about 200 bytes with its places in indexes, and an event as much and its
/// payload, kept once for all of its deliveries. So the defaults allow some hundred MiB of rows and
/// indexes, and payloads beside them.
///
/// ```
/// use webhooks_storage_memory::{MemoryLimits, MemoryStorage};
///
/// let small = MemoryLimits {
///     deliveries: 10_000,
///     ended: 100,
///     ..MemoryLimits::default()
/// };
/// let storage = MemoryStorage::new().with_limits(small);
/// # drop(storage);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Waiting deliveries and dead letters together. What is over is refused with
    /// [`Overloaded`](webhooks_core::WebhookError::Overloaded). Defaults to 1,000,000.
    pub deliveries: usize,
    /// Waiting deliveries of one endpoint. What is over goes to the dead letters at once, as
    /// [`BacklogFull`](webhooks_core::DeadReason::BacklogFull). Defaults to 100,000.
    pub waiting_per_endpoint: usize,
    /// Delivered and cancelled deliveries that can still be listed; older ones fall out, and stay
    /// in the counts. Defaults to 10,000.
    pub ended: usize,
    /// Events without deliveries that can still be listed: those for which no endpoint was, and
    /// those whose deliveries have fallen out. Older ones fall out. Defaults to 10,000.
    pub events: usize,
    /// Bytes of payloads of such events; older ones fall out. Defaults to 64 MiB.
    pub event_bytes: usize,
    /// Attempts in the log; older ones fall out. Defaults to 100,000.
    pub log_lines: usize,
    /// Bytes of answers in the log, headers included; older attempts fall out. Defaults to 64 MiB.
    pub log_bytes: usize,
    /// Idempotency keys of the last 24 hours. An event with one more is refused with
    /// [`Overloaded`](webhooks_core::WebhookError::Overloaded), since forgetting a key early could
    /// send an event twice. Defaults to 1,000,000.
    pub idempotency_keys: usize,
    /// Documents. One more is refused with
    /// [`Overloaded`](webhooks_core::WebhookError::Overloaded). Defaults to 100,000.
    pub documents: usize,
    /// Bytes of their values. What is over is refused, too. Defaults to 64 MiB.
    pub document_bytes: usize,
    /// Minutes in which something happened, of each endpoint, and as many hours; older ones fall
    /// out. One takes about 300 bytes. Defaults to 100,000.
    pub stat_buckets: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            deliveries: 1_000_000,
            waiting_per_endpoint: 100_000,
            ended: 10_000,
            events: 10_000,
            event_bytes: 64 << 20,
            log_lines: 100_000,
            log_bytes: 64 << 20,
            idempotency_keys: 1_000_000,
            documents: 100_000,
            document_bytes: 64 << 20,
            stat_buckets: 100_000,
        }
    }
}

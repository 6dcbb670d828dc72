//! The numbers of the contract: every storage keeps the same ones.

use std::time::Duration;

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
/// How long an event of the outbox stays [set aside](super::WebhookStorage::set_outbox_aside).
pub const OUTBOX_REST: Duration = Duration::from_secs(600);

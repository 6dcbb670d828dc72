//! The in-memory storage of the better-auth-webhooks system.
//!
//! It keeps the whole promise of [`WebhookStorage`](webhooks_core::storage::WebhookStorage) while
//! its process lives, and nothing beyond: what waits is lost when the process ends. Deliveries,
//! idempotency keys and the log are bounded by [`MemoryLimits`]. A delivery that would go over is
//! refused or becomes a dead letter; of what has ended well or was cancelled, and of the log, the
//! oldest fall out.

mod arena;
mod attempt_log;
mod batching;
mod claim;
mod clock;
mod endpoint_entry;
mod endpoints;
mod enqueue;
mod fan_outs;
mod filling;
mod idempotency;
mod limits;
mod listing;
mod memory_storage;
mod ready_ring;
mod row;
mod settle;
mod state;
mod sweep;
mod unfinished;
mod worker;
mod workers;

pub use self::limits::MemoryLimits;
pub use self::memory_storage::MemoryStorage;

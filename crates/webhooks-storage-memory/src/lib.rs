//! The in-memory storage of the better-auth-webhooks system.
//!
//! It keeps the whole promise of [`WebhookStorage`](webhooks_core::storage::WebhookStorage) while
//! its process lives, and nothing beyond: what waits is lost when the process ends. All that it
//! keeps but endpoints is bounded by [`MemoryLimits`]. A delivery that would go over is refused or
//! becomes a dead letter, an idempotency key or a document is refused; of what has ended well or was
//! cancelled, of events, of the log and of numbers over time, the oldest fall out.
//!
//! It is for tests, for development, and for services that may lose what waits. It has no
//! background task: callers bring the time, and a sweep is what drops by age.
//!
//! ```
//! use webhooks_core::WebhookEndpoint;
//! use webhooks_core::storage::WebhookStorage;
//! use webhooks_storage_memory::MemoryStorage;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> webhooks_core::Result<()> {
//! let storage = MemoryStorage::new();
//! let endpoint = WebhookEndpoint {
//!     id: "billing".into(),
//!     url: "https://example.com/hook".into(),
//!     secret: "a secret of this endpoint alone".into(),
//!     events: vec!["invoice.*".into()],
//!     ..WebhookEndpoint::default()
//! };
//! storage.save_endpoint(&endpoint).await?;
//! assert!(storage.get_endpoint("billing").await? == Some(endpoint));
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod arena;
mod attempt_log;
mod bare_events;
mod batching;
mod change;
mod claim;
mod clock;
mod deliver_events;
mod document_store;
mod documents;
mod endpoint_entry;
mod endpoints;
mod enqueue;
mod erasure;
mod event_deliveries;
mod event_row;
mod events;
mod fan_outs;
mod filling;
mod idempotency;
mod limits;
mod lines;
mod listing;
mod lookup;
mod making;
mod memory_storage;
mod numbers;
mod order;
mod places;
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

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

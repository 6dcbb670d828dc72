//! The conformance suite that every storage passes: ours, and those of third parties.
//!
//! Implement [`Backend`] for your storage, which makes a fresh namespace for each case, and invoke
//! [`conformance!`] in a test file of your crate. It makes one `#[test]` per case, so that a case
//! that is added here reaches every storage.
//!
//! ```
//! use webhooks_core::storage::WebhookStorage;
//! use webhooks_storage_testkit::{Backend, Capabilities};
//!
//! # fn connect() -> std::sync::Arc<dyn WebhookStorage> { unimplemented!() }
//! struct MyDatabase;
//!
//! #[async_trait::async_trait]
//! impl Backend for MyDatabase {
//!     type Storage = std::sync::Arc<dyn WebhookStorage>;
//!
//!     async fn fresh(&self) -> Self::Storage {
//!         connect() // to a schema, a prefix or a file of its own
//!     }
//!
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities {
//!             wakes: true,
//!             rewrites_credentials: true,
//!             documents: true,
//!             statistics: true,
//!         }
//!     }
//! }
//!
//! webhooks_storage_testkit::conformance!(MyDatabase);
//! ```
//!
//! Time is passed in: cases ask the storage for its time once and count from there, so nothing
//! here sleeps for what a storage measures.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation here is a failed test of a storage"
)]

mod backend;
mod bench;
mod cases;
mod model;
mod operation;
mod random_operations;
mod runner;

pub use self::backend::{Backend, Capabilities};
#[doc(hidden)]
pub use self::runner::run;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

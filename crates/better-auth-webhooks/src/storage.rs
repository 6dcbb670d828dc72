//! Where endpoints and deliveries are kept.

pub use webhooks_core::storage::*;
#[cfg(feature = "memory")]
pub use webhooks_storage_memory::{MemoryLimits, MemoryStorage};

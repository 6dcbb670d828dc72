//! The published suite on several partitions, behind `Arc<dyn WebhookStorage>`.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::sync::Arc;

use webhooks_core::storage::WebhookStorage;
use webhooks_storage_testkit::{Backend, Capabilities, conformance};

struct Partitioned {
    prefix: String,
}

impl Partitioned {
    fn new() -> Self {
        Self {
            prefix: support::prefix(),
        }
    }
}

#[async_trait::async_trait]
impl Backend for Partitioned {
    type Storage = Arc<dyn WebhookStorage>;

    async fn fresh(&self) -> Self::Storage {
        support::drop_keys(&support::url(), &self.prefix).await;
        Arc::new(support::storage(&support::url(), &self.prefix, 3).await)
    }

    async fn dispose(&self, _storage: &Self::Storage) {
        support::drop_keys(&support::url(), &self.prefix).await;
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            wakes: true,
            rewrites_credentials: true,
            documents: true,
            statistics: true,
        }
    }

    fn random_sequences(&self) -> u32 {
        32
    }
}

conformance!(Partitioned::new());

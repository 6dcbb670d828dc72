//! The published suite, on one partition.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use webhooks_storage_redis::RedisStorage;
use webhooks_storage_testkit::{Backend, Capabilities, conformance};

struct Redis {
    prefix: String,
}

impl Redis {
    fn new() -> Self {
        Self {
            prefix: support::prefix(),
        }
    }
}

#[async_trait::async_trait]
impl Backend for Redis {
    type Storage = RedisStorage;

    async fn fresh(&self) -> RedisStorage {
        // A backend may be asked more than once, by the random sequences.
        support::drop_keys(&support::url(), &self.prefix).await;
        support::storage(&support::url(), &self.prefix, 1).await
    }

    async fn dispose(&self, _storage: &RedisStorage) {
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
}

conformance!(Redis::new());

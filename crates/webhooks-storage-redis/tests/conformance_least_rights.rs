//! The published suite as the user with the least rights, as the docs list them.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use support::user::{drop_user, least_rights, set_user};
use webhooks_storage_redis::RedisStorage;
use webhooks_storage_testkit::{Backend, Capabilities, conformance};

struct LeastRights {
    prefix: String,
}

impl LeastRights {
    fn new() -> Self {
        Self {
            prefix: support::prefix(),
        }
    }
}

#[async_trait::async_trait]
impl Backend for LeastRights {
    type Storage = RedisStorage;

    async fn fresh(&self) -> RedisStorage {
        let url = support::url();
        support::drop_keys(&url, &self.prefix).await;
        let user = set_user(&url, &self.prefix, &least_rights(&self.prefix)).await;
        support::storage(&user, &self.prefix, 2).await
    }

    async fn dispose(&self, _storage: &RedisStorage) {
        let url = support::url();
        drop_user(&url, &self.prefix).await;
        support::drop_keys(&url, &self.prefix).await;
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
        8
    }
}

conformance!(LeastRights::new());

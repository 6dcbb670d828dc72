//! The published suite on two partitions that keep credentials encrypted.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use webhooks_storage_redis::{EncryptionKeys, RedisStorage};
use webhooks_storage_testkit::{Backend, Capabilities, conformance};

struct Encrypted {
    prefix: String,
}

impl Encrypted {
    fn new() -> Self {
        Self {
            prefix: support::prefix(),
        }
    }
}

#[async_trait::async_trait]
impl Backend for Encrypted {
    type Storage = RedisStorage;

    async fn fresh(&self) -> RedisStorage {
        support::drop_keys(&support::url(), &self.prefix).await;
        let keys = EncryptionKeys::new("k2", &[2; 32]).unwrap();
        let builder = RedisStorage::builder(support::pool(&support::url()))
            .key_prefix(&self.prefix)
            .partitions(2)
            .encryption_keys(keys.with_older("k1", &[1; 32]).unwrap());
        builder.connect().await.unwrap()
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

    fn random_sequences(&self) -> u32 {
        8
    }
}

conformance!(Encrypted::new());

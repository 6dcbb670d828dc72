//! The conformance suite on a real PostgreSQL that keeps credentials encrypted, behind
//! `Arc<dyn WebhookStorage>`.
#![expect(clippy::unwrap_used, reason = "this is a helper of tests")]

mod support;

use std::sync::Arc;

use webhooks_core::storage::WebhookStorage;
use webhooks_storage_postgres::EncryptionKeys;
use webhooks_storage_testkit::{Backend, Capabilities};

struct Encrypted {
    schema: String,
}

#[async_trait::async_trait]
impl Backend for Encrypted {
    type Storage = Arc<dyn WebhookStorage>;

    async fn fresh(&self) -> Self::Storage {
        // A backend may be asked more than once, by the random sequences.
        support::drop_schema(&self.schema).await;
        let keys = EncryptionKeys::new("k2", &[2; 32]).unwrap();
        let keys = keys.with_older("k1", &[1; 32]).unwrap();
        let storage = support::builder(&self.schema).encryption_keys(keys);
        Arc::new(storage.connect().await.unwrap())
    }

    async fn dispose(&self, _storage: &Self::Storage) {
        support::drop_schema(&self.schema).await;
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

webhooks_storage_testkit::conformance!(Encrypted {
    schema: support::fresh_schema()
});

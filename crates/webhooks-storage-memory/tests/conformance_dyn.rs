//! The published suite, on the storage behind `Arc<dyn WebhookStorage>`.

use std::sync::Arc;

use webhooks_core::storage::WebhookStorage;
use webhooks_storage_memory::MemoryStorage;
use webhooks_storage_testkit::{Backend, Capabilities, conformance};

struct DynMemory;

#[async_trait::async_trait]
impl Backend for DynMemory {
    type Storage = Arc<dyn WebhookStorage>;

    async fn fresh(&self) -> Arc<dyn WebhookStorage> {
        Arc::new(MemoryStorage::new())
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

conformance!(DynMemory);

//! The published suite, on the storage itself.

use webhooks_storage_memory::MemoryStorage;
use webhooks_storage_testkit::{Backend, Capabilities, conformance};

struct Memory;

#[async_trait::async_trait]
impl Backend for Memory {
    type Storage = MemoryStorage;

    async fn fresh(&self) -> MemoryStorage {
        MemoryStorage::new()
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

conformance!(Memory);

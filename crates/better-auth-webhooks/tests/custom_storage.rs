//! The example of a custom storage passes the suite.

#[path = "../examples/custom_storage/storage/mod.rs"]
mod storage;

use webhooks_storage_testkit::{Backend, Capabilities, conformance};

struct Custom;

#[async_trait::async_trait]
impl Backend for Custom {
    type Storage = storage::ListStorage;

    async fn fresh(&self) -> Self::Storage {
        storage::ListStorage::new()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            documents: true,
            statistics: true,
            ..Capabilities::default()
        }
    }
}

conformance!(Custom);

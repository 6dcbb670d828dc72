//! The example of a custom storage passes the suite.

#[path = "../examples/custom_storage/filling.rs"]
mod filling;
#[path = "../examples/custom_storage/leases.rs"]
mod leases;
#[path = "../examples/custom_storage/list_storage.rs"]
mod list_storage;
#[path = "../examples/custom_storage/lists.rs"]
mod lists;
#[path = "../examples/custom_storage/row.rs"]
mod row;

use webhooks_storage_testkit::{Backend, conformance};

struct Custom;

#[async_trait::async_trait]
impl Backend for Custom {
    type Storage = list_storage::ListStorage;

    async fn fresh(&self) -> Self::Storage {
        list_storage::ListStorage::new()
    }
}

conformance!(Custom);

//! The conformance suite, a file per case.

mod support;

use webhooks_storage_sqlite::SqliteStorage;
use webhooks_storage_testkit::{Backend, Capabilities};

struct Sqlite;

#[async_trait::async_trait]
impl Backend for Sqlite {
    type Storage = SqliteStorage;

    async fn fresh(&self) -> SqliteStorage {
        support::storage().await
    }

    async fn dispose(&self, storage: &SqliteStorage) {
        support::remove(storage.path());
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

webhooks_storage_testkit::conformance!(Sqlite);

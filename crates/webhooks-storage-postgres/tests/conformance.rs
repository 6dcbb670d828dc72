//! The conformance suite on a real PostgreSQL, a schema per case.

mod support;

use webhooks_storage_postgres::PostgresStorage;
use webhooks_storage_testkit::{Backend, Capabilities};

struct Postgres;

#[async_trait::async_trait]
impl Backend for Postgres {
    type Storage = PostgresStorage;

    async fn fresh(&self) -> PostgresStorage {
        let schema = support::fresh_schema();
        support::storage(&schema).await
    }

    async fn dispose(&self, storage: &PostgresStorage) {
        support::drop_schema(storage.schema()).await;
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

webhooks_storage_testkit::conformance!(Postgres);

//! Sends an event inside a transaction:
//! `DATABASE_URL=postgres://.. cargo run -p webhooks-storage-postgres --example outbox`.
//!
//! The command `cargo xtask services` starts a server to try it on.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use deadpool_postgres::{Manager, Pool};
use tokio_postgres::NoTls;
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_postgres::PostgresStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let pool = Pool::builder(Manager::new(url.parse()?, NoTls))
        .max_size(4)
        .build()?;
    let storage = PostgresStorage::new(pool.clone()).await?;

    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    // Beside your own statements.
    let outbox = storage.outbox(&*transaction);
    let id = outbox.send("order.placed", &7).await?;
    println!(
        "before the commit: {:?}",
        storage.beat(None, None).await?.outbox
    );
    transaction.commit().await?;
    println!(
        "{id} waits for a node: {:?}",
        storage.beat(None, None).await?.outbox
    );
    Ok(())
}

//! Sends an event inside a transaction: `cargo run -p webhooks-storage-sqlite --example outbox`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use rusqlite::{Connection, TransactionBehavior};
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::SqliteStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join("webhooks-example.db");
    let storage = SqliteStorage::open(&path).await?;

    // A connection of your own, to the same file.
    let mut connection = Connection::open(storage.path())?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Beside your own statements.
    let id = storage.outbox(&transaction).send("order.placed", &7)?;
    println!(
        "before the commit: {:?}",
        storage.beat(None, None).await?.outbox
    );
    transaction.commit()?;
    println!(
        "{id} waits for a process: {:?}",
        storage.beat(None, None).await?.outbox
    );
    Ok(())
}

//! Sends an event inside a transaction of the newest rusqlite, in the file of a storage.

use std::error::Error;

use rusqlite::{Connection, TransactionBehavior};
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::SqliteStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let storage = SqliteStorage::open(&path).await?;
    let mut connection = Connection::open(&path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let data = r#"{"user":7}"#;
    transaction.execute(
        "INSERT INTO webhook_send (event, data) VALUES ('user.created', ?)",
        [data],
    )?;
    transaction.commit()?;
    match storage.beat(None, None).await?.outbox {
        true => Ok(()),
        false => Err("the event is not there".into()),
    }
}

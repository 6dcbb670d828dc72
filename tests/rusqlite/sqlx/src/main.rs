//! Sends an event inside a transaction of sqlx, in the file of a storage.

use std::error::Error;

use sqlx::SqlitePool;
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::SqliteStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let storage = SqliteStorage::open(&path).await?;
    let pool = SqlitePool::connect(&format!("sqlite:{path}")).await?;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("INSERT INTO webhook_send (event, data) VALUES ('user.created', ?)")
        .bind(r#"{"user":7}"#)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    match storage.beat(None, None).await?.outbox {
        true => Ok(()),
        false => Err("the event is not there".into()),
    }
}

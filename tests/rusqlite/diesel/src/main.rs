//! Sends an event inside a transaction of Diesel, in the file of a storage.

use std::error::Error;

use diesel::sql_types::Text;
use diesel::{Connection, RunQueryDsl, SqliteConnection, sql_query};
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::SqliteStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let storage = SqliteStorage::open(&path).await?;
    let mut connection = SqliteConnection::establish(&path)?;
    connection.immediate_transaction(|transaction| {
        sql_query("INSERT INTO webhook_send (event, data) VALUES ('user.created', ?)")
            .bind::<Text, _>(r#"{"user":7}"#)
            .execute(transaction)
    })?;
    match storage.beat(None, None).await?.outbox {
        true => Ok(()),
        false => Err("the event is not there".into()),
    }
}

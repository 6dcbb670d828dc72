//! The transactional outbox: an event that exists if and only if the caller's transaction commits.
//!
//! `DATABASE_URL=postgres://.. cargo run --example postgres_outbox --features postgres`; the
//! command `cargo xtask services` starts a server to try it on.
#![expect(clippy::print_stdout, reason = "a program talks to a person")]

use std::error::Error;

use better_auth_webhooks::WebhookSystem;
use better_auth_webhooks::storage::PostgresStorage;
use deadpool_postgres::{Manager, Pool, Runtime};
use serde_json::json;
use tokio_postgres::NoTls;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let manager = Manager::new(url.parse()?, NoTls);
    let pool = Pool::builder(manager)
        .max_size(8)
        .runtime(Runtime::Tokio1)
        .build()?;
    let storage = PostgresStorage::new(pool.clone()).await?;

    let mut client = pool.get().await?;
    client
        .batch_execute("CREATE TEMP TABLE accounts (id bigint, email text)")
        .await?;
    let transaction = client.transaction().await?;
    transaction
        .execute("INSERT INTO accounts VALUES (1, 'a@example.com')", &[])
        .await?;
    // Rolled back with the row, or there with it.
    let event = json!({ "user_id": 1 });
    let id = storage
        .outbox(&*transaction)
        .send("user.created", &event)
        .await?;
    transaction.commit().await?;
    println!("{id} is on its way");

    // Any process with a system on this database delivers it, within a second.
    let system = WebhookSystem::new(storage);
    system.drain(std::time::Duration::from_secs(5)).await?;
    Ok(())
}

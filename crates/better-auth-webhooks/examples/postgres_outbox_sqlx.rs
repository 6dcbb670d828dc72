//! The transactional outbox from another driver: the SQL function that the migrations install works
//! from every language.
//!
//! `DATABASE_URL=postgres://.. cargo run --example postgres_outbox_sqlx --features postgres`
#![expect(clippy::print_stdout, reason = "a program talks to a person")]

use std::error::Error;

use better_auth_webhooks::storage::PostgresStorage;
use deadpool_postgres::{Manager, Pool, Runtime};
use sqlx::{Connection, PgConnection};
use tokio_postgres::NoTls;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    // Any node's start applies the migrations; the sender needs nothing of ours.
    let manager = Manager::new(url.parse()?, NoTls);
    let pool = Pool::builder(manager)
        .max_size(2)
        .runtime(Runtime::Tokio1)
        .build()?;
    PostgresStorage::new(pool).await?;

    let mut connection = PgConnection::connect(&url).await?;
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT webhook_send('user.created', $1::json)")
        .bind(r#"{ "user_id": 1 }"#)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    println!("the event is in the outbox, for a node to deliver");
    Ok(())
}

//! Says what a crash of this Redis could lose:
//! `REDIS_URL=redis://.. cargo run -p webhooks-storage-redis --example durability`.
//!
//! The command `cargo xtask services` starts a server to try it on.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use fred::clients::Pool;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use webhooks_core::storage::WebhookStorage;
use webhooks_storage_redis::RedisStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("REDIS_URL").map_err(|_| "REDIS_URL is not set")?;
    let pool = Pool::new(Config::from_url(&url)?, None, None, None, 4)?;
    pool.init().await?;
    let storage = RedisStorage::new(pool).await?;
    for warning in storage.durability_warnings() {
        println!("{warning}");
    }
    println!("{:?}", storage.counts(None).await?);
    Ok(())
}

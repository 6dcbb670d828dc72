//! What the tests share: storages on a real Redis.
#![allow(
    clippy::allow_attributes,
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

pub mod proxy;
pub mod server;
pub mod user;
pub mod work;

use fred::interfaces::{ClientLike, KeysInterface};
use fred::prelude::*;
use fred::types::scan::Scanner;
use futures_util::StreamExt;
use webhooks_storage_redis::RedisStorage;

/// The server that `cargo xtask test` started, or that the user gave.
pub fn url() -> String {
    std::env::var("WEBHOOKS_TEST_REDIS_URL").expect(
        "WEBHOOKS_TEST_REDIS_URL is not set: run `cargo xtask test`, or set it to the URL of a \
         Redis that these tests may write to, like redis://127.0.0.1:6379",
    )
}

/// A prefix that no other test uses.
pub fn prefix() -> String {
    format!("test-{:016x}", fastrand::u64(..))
}

pub fn builder(url: &str) -> Builder {
    let config = Config::from_url(url).unwrap();
    let mut builder = Builder::from_config(config);
    builder.set_policy(ReconnectPolicy::new_constant(0, 50));
    builder
}

pub fn pool(url: &str) -> Pool {
    builder(url).build_pool(2).unwrap()
}

pub async fn client(url: &str) -> Client {
    let client = builder(url).build().unwrap();
    client.init().await.unwrap();
    client
}

/// A storage under a prefix of its own.
pub async fn storage(url: &str, prefix: &str, partitions: usize) -> RedisStorage {
    let builder = RedisStorage::builder(pool(url))
        .key_prefix(prefix)
        .partitions(partitions);
    builder.connect().await.unwrap()
}

/// Drops all keys of a prefix.
pub async fn drop_keys(url: &str, prefix: &str) {
    let client = client(url).await;
    let mut pages = client.scan(format!("{{{prefix}:*"), Some(1_000), None);
    while let Some(page) = pages.next().await {
        let mut page = page.unwrap();
        for key in page.take_results().unwrap_or_default() {
            let _dropped: i64 = client.unlink(key).await.unwrap();
        }
        page.next();
    }
    client.quit().await.unwrap();
}

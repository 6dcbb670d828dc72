//! What was erased is not in Redis any more.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use fred::interfaces::KeysInterface;
use support::work::{endpoint, event, now};
use webhooks_core::storage::{Change, DeliveryQuery, WebhookStorage};

#[tokio::test]
async fn a_payload_that_came_again_is_dropped_with_the_last_that_reads_it() {
    let (url, prefix) = (support::url(), support::prefix());
    let storage = support::storage(&url, &prefix, 1).await;
    let redis = support::client(&url).await;
    let now = now(&storage).await;
    let new = event(&["a", "b"], now);
    let at = format!("{{{prefix}:0}}:event:{}", new.event.id.as_uuid());
    let all = DeliveryQuery::default();
    for (id, made) in [("a", 1), ("b", 2)] {
        storage.save_endpoint(&endpoint(id)).await.unwrap();
        let events = std::slice::from_ref(&new);
        storage.enqueue(events, None, now).await.unwrap();
        let kept: Vec<u8> = redis.get(&at).await.unwrap();
        assert!(kept.ends_with(&new.event.payload), "made {made}");
        let erased = storage.change(&all, Change::Erase, 10, now).await;
        assert_eq!(erased.unwrap().changed, 1);
        let kept: Vec<u8> = redis.get(&at).await.unwrap();
        assert!(kept.ends_with(b"\n\n"), "made {made}");
    }
    support::drop_keys(&url, &prefix).await;
}

//! What belongs to one tenant is found without a look at what belongs to others.
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
use support::server::{Server, ran};
use support::work::{endpoint, event, now};
use webhooks_core::Timestamp;
use webhooks_core::storage::spi::NewEvent;
use webhooks_core::storage::{Change, DeliveryQuery, WebhookStorage};

fn of_tenant(tenant: Option<&str>, now: Timestamp) -> NewEvent {
    let mut new = event(&["a"], now);
    let mut of_it = (*new.event).clone();
    of_it.tenant = tenant.map(Into::into);
    new.event = of_it.into();
    new
}

#[tokio::test]
async fn a_tenant_is_listed_and_erased_without_a_look_at_others() {
    let server = Server::start(&[]).await;
    let storage = support::storage(&server.url(), "webhooks", 1).await;
    let redis = support::client(&server.url()).await;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let now = now(&storage).await;
    // The oldest, which come last in any listing.
    let ours: Vec<_> = (0..30).map(|_| of_tenant(Some("ours"), now)).collect();
    storage.enqueue(&ours, None, now).await.unwrap();
    for n in 0..40 {
        let tenant = (n % 2 == 0).then_some("theirs");
        let others: Vec<_> = (0..250).map(|_| of_tenant(tenant, now)).collect();
        storage.enqueue(&others, None, now).await.unwrap();
    }
    let query = DeliveryQuery {
        tenant: Some("ours".into()),
        limit: 100,
        ..DeliveryQuery::default()
    };
    let before = ran(&redis).await;
    let found = storage.deliveries(&query).await.unwrap().items;
    assert_eq!(found.len(), 30);
    let of_one = DeliveryQuery {
        endpoint_ids: Some(vec!["a".into()]),
        ..query.clone()
    };
    assert_eq!(storage.deliveries(&of_one).await.unwrap().items.len(), 30);
    let erased = storage.change(&query, Change::Erase, 100, now).await;
    assert_eq!(erased.unwrap().changed, 30);
    let after = ran(&redis).await;
    assert!(after.0 - before.0 <= 4, "{before:?} {after:?}");
    assert!(after.1 - before.1 < 1_000, "{before:?} {after:?}");
    // What goes leaves the index of its tenant.
    let purged = storage.change(&query, Change::Purge, 100, now).await;
    assert_eq!(purged.unwrap().changed, 30);
    let left: bool = redis.exists("{webhooks:0}:tenant:\"ours\"").await.unwrap();
    assert!(!left);
    assert!(storage.deliveries(&query).await.unwrap().items.is_empty());
}

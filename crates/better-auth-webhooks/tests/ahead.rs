//! What a node has just stored can be changed at once, though its clock is ahead of the storage's.
#![cfg(feature = "memory")]
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{Change, DeliveryQuery, MemoryStorage, WebhookStorage};
use better_auth_webhooks::{DeliveryState, WebhookEndpoint, WebhookSystem};

#[tokio::test]
async fn what_was_stored_by_a_clock_that_is_ahead_is_sent_again() {
    let storage = Arc::new(MemoryStorage::new());
    let system = WebhookSystem::builder().workers(0).build(storage.clone());
    let endpoint = WebhookEndpoint {
        id: "endpoint".into(),
        url: "https://api.example.com/webhooks".into(),
        secret: "secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    };
    system.register_endpoint(endpoint).await.unwrap();
    // Of an event that is due later, so that it is not sent on the way.
    let later = system.webhook("a.b").delay(Duration::from_secs(60));
    let sent = later.send().await.unwrap();
    let id = sent.delivery_ids.first().unwrap();
    let query = DeliveryQuery::of_delivery(id.parse().unwrap());
    let ahead = system.now().unwrap().after(Duration::from_millis(50));
    let changed = storage.change(&query, Change::Cancel, 1, ahead).await;
    assert_eq!(changed.unwrap().changed, 1);
    system.resend(id).await.unwrap();
    let record = system.delivery(id).await.unwrap();
    assert_ne!(record.state, DeliveryState::Cancelled);
}

//! The system on each storage, over real sockets. `--features integration-tests` runs it.

#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::collections::HashSet;
use std::time::Duration;

use better_auth_webhooks::storage::{MemoryStorage, WebhookStorage};
use better_auth_webhooks::{
    NetworkPolicy, RetryStrategy, WebhookEndpoint, WebhookReceiver, WebhookSystem,
};
use serde_json::json;
use webhooks_tests::{Answer, Receiver};

const EVENTS: usize = 200;

/// Sends many events to an endpoint that fails now and then: each arrives, signed.
async fn every_event_arrives(storage: impl WebhookStorage) {
    let receiver =
        Receiver::start(|_, n| Answer::Status(if n % 10 == 0 { 503 } else { 200 })).await;
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(RetryStrategy {
            max_retries: 10,
            initial_delay_ms: 10,
            max_delay_ms: 50,
            backoff_multiplier: 2.0,
        })
        .build(storage);
    system
        .register_endpoint(WebhookEndpoint {
            id: "a".into(),
            url: receiver.url(),
            secret: "hunter2".into(),
            events: vec!["order.*".into()],
            ..Default::default()
        })
        .await
        .unwrap();
    let mut sent = HashSet::new();
    for number in 0..EVENTS {
        let receipt = system
            .send_webhook("order.paid", json!(number))
            .await
            .unwrap();
        sent.insert(receipt.event_id);
    }
    assert!(system.drain(Duration::from_secs(30)).await.unwrap());

    let verifier = WebhookReceiver::new("hunter2");
    let arrived: HashSet<_> = receiver
        .received()
        .iter()
        .map(|r| verifier.receive(&r.headers, &r.body).unwrap().id)
        .collect();
    assert_eq!(arrived, sent);
    let counts = system.get_metrics().await.unwrap().counts;
    assert_eq!((counts.delivered, counts.waiting()), (EVENTS as u64, 0));
    system.shutdown(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn every_event_arrives_from_the_memory_storage() {
    every_event_arrives(MemoryStorage::new()).await;
}

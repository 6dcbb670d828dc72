//! How much memory one call takes: bounded before it is taken.
//!
//! A program of its own, because its allocator counts.

use std::sync::Arc;

use better_auth_webhooks::storage::{MemoryStorage, WebhookStorage};
use better_auth_webhooks::{OutgoingEvent, WebhookEndpoint, WebhookError, WebhookSystem};
use peak_alloc::PeakAlloc;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MOST: usize = 4 << 20;

#[tokio::test]
async fn a_batch_that_makes_too_many_deliveries_is_refused_before_they_are_made() {
    let storage = Arc::new(MemoryStorage::new());
    for n in 0..10_000 {
        let endpoint = WebhookEndpoint {
            id: format!("e{n}"),
            url: "https://example.com/".into(),
            secret: "not a real secret".into(),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        };
        storage.save_endpoint(&endpoint).await.unwrap();
    }
    let system = WebhookSystem::builder().workers(0).build(storage.clone());
    system.health().await;
    let event = |n| OutgoingEvent::new("order.paid").data(json!({ "n": n }));
    let events: Vec<_> = (0..1_000).map(event).collect();
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let refused = system.send_batch(events).await.unwrap_err();
    let taken = ALLOCATOR.peak_usage() - before;
    assert!(
        matches!(refused, WebhookError::InvalidEvent(_)),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("10000000 deliveries"),
        "{refused}"
    );
    assert!(taken < MOST, "{taken} bytes");
    assert_eq!(storage.counts(None).await.unwrap().enqueued, 0);
}

//! What a sweep drops that no call shows.

mod support;

use std::time::Duration;

use support::events::event;
use support::{client, drop_schema, fresh_schema, storage};
use webhooks_core::storage::spi::NewEvent;
use webhooks_core::storage::{Retention, WebhookStorage};

#[tokio::test]
async fn a_sweep_asks_for_another_until_all_old_idempotency_keys_are_gone() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let now = storage.beat(None, None).await.unwrap().now;
    // Of events that nobody takes, so that nothing else is old.
    let events: Vec<_> = (0..25)
        .map(|n| NewEvent {
            idempotency_key: Some(format!("key_{n}").into()),
            deliveries: Vec::new(),
            ..event("a", b"{}", now)
        })
        .collect();
    storage.enqueue(&events, None, now).await.unwrap();
    let later = now.after(Duration::from_secs(25 * 3_600));
    let retention = Retention::default();
    let mut sweeps = 1;
    while storage.sweep(&retention, 10, later).await.unwrap().more {
        sweeps += 1;
        assert!(sweeps < 10, "a sweep never ends");
    }
    let left = format!("SELECT count(*) FROM \"{schema}\".webhook_idempotency");
    let left: i64 = client().await.query_one(&left, &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    drop_schema(&schema).await;
}

//! The queue by hand, on a storage that takes its time.

use std::sync::Arc;

use webhooks_core::storage::WebhookStorage;
use webhooks_core::{EventType, RetryStrategy, Timestamp, WebhookDelivery, WebhookEvent};
use webhooks_delivery::WebhookQueue;

use crate::remote_storage::{Lost, RemoteStorage};
use crate::support::*;

/// A queue, 40 ms from its storage and back, with one delivery in it.
async fn queue() -> (WebhookQueue, Arc<RemoteStorage>) {
    let storage = storage();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let remote = RemoteStorage::new(&storage, millis(20));
    let queue = WebhookQueue::new(remote.clone(), RetryStrategy::default());
    let event_type = EventType::new(EVENT).unwrap();
    let event = WebhookEvent::new(event_type, None, &1, 1_000, Timestamp::EPOCH).unwrap();
    let delivery = WebhookDelivery::new("a", Arc::new(event));
    queue.enqueue(delivery).await.unwrap();
    (queue, remote)
}

#[tokio::test(start_paused = true)]
async fn what_a_dequeue_that_was_cut_off_has_leased_is_what_the_next_one_returns() {
    for cut_off_after in [10, 30, 50, 70] {
        let (queue, _) = queue().await;
        let dequeue = tokio::time::timeout(millis(cut_off_after), queue.dequeue());
        assert!(dequeue.await.is_err());
        tokio::time::sleep(secs(1)).await;
        let delivery = queue.dequeue().await.unwrap().unwrap();
        assert!(delivery.endpoint.is_some());
        queue.requeue(delivery).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_leased_when_the_storage_failed_is_what_the_next_dequeue_returns() {
    let (queue, remote) = queue().await;
    let fail = async {
        tokio::time::sleep(millis(50)).await;
        remote.lose(Some(Lost::Calls));
    };
    let (failed, ()) = tokio::join!(queue.dequeue(), fail);
    assert!(failed.unwrap_err().is_transient());
    remote.lose(None);
    let delivery = queue.dequeue().await.unwrap().unwrap();
    queue.requeue(delivery).await.unwrap();
}

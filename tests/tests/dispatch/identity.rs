//! A process that is not the only one under its id takes another one.

use webhooks_core::WorkerId;
use webhooks_core::storage::WebhookStorage;
use webhooks_delivery::Settings;
use webhooks_tests::Reply;

use crate::support::*;

async fn holder(node: &Node) -> WorkerId {
    let id = node.send_to("a").await;
    tokio::time::sleep(millis(10)).await;
    node.record(id).await.delivery.lease.unwrap().worker
}

#[tokio::test(start_paused = true)]
async fn a_second_holder_of_its_id_is_noticed_and_what_was_leased_goes_out_again() {
    let settings = Settings::default();
    let node = Node::alone(&["a"], settings, |call| match call.nth {
        // Longer than it takes until others take the deliveries of who is silent.
        1 => Reply::Slow(secs(20), 200),
        _ => Reply::Slow(millis(100), 200),
    })
    .await;
    let shared = holder(&node).await;
    assert_eq!(holder(&node).await, shared);
    // The copy of its machine's memory beats once, under the same id.
    tokio::time::sleep(millis(1_000)).await;
    node.storage.beat(Some(&shared), None).await.unwrap();
    tokio::time::sleep(millis(2_000)).await;
    let own = holder(&node).await;
    assert_ne!(own, shared, "it has a new one");
    tokio::time::sleep(millis(3_000)).await;
    assert_eq!(holder(&node).await, own, "and keeps it");
    assert!(node.drain(secs(60)).await);
    let counts = node.counts().await;
    assert_eq!((counts.delivered, counts.dead), (4, 0), "nothing is stuck");
}

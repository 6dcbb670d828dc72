//! On a storage that takes its time, what this process has just decided counts before it is stored.

use std::sync::Arc;

use webhooks_core::WebhookEndpoint;
use webhooks_core::storage::WebhookStorage;
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply, ScriptedTransport};

use crate::remote_storage::RemoteStorage;
use crate::support::*;

async fn far_off(way: u64, script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Node {
    let storage = storage();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let remote = RemoteStorage {
        inner: storage.clone(),
        way: millis(way),
    };
    let settings = Settings {
        retry_strategy: every(millis(100), 50),
        ..Default::default()
    };
    let transport = ScriptedTransport::new(script);
    let node = Node::on(Arc::new(remote), &storage, &transport, settings);
    node.pipeline.ready().await.unwrap();
    node
}

#[tokio::test(start_paused = true)]
async fn a_hold_counts_at_once_though_older_endpoints_are_still_being_read() {
    for offset in (0..200).step_by(10) {
        let node = far_off(20, |call| match call.nth {
            1 => Reply::Slow(millis(500), 200),
            2 => Reply::RetryAfter(429, secs(30)),
            _ => Reply::Status(200),
        })
        .await;
        node.send_to("a").await;
        tokio::time::sleep(millis(300 + offset)).await;
        // The definition changes while the hold is on its way to the storage.
        let changed = WebhookEndpoint {
            timeout_seconds: 7,
            ..endpoint("a")
        };
        let sending = async {
            tokio::time::sleep(millis(100)).await;
            for _ in 0..60 {
                drop(node.send(&outgoing(None)).await);
                tokio::time::sleep(millis(10)).await;
            }
        };
        tokio::join!(node.add(changed), sending);
        assert!(node.drain(secs(60)).await);
        let calls = node.transport.calls();
        let asked = calls.iter().find(|call| call.nth == 2).unwrap();
        for call in calls.iter().filter(|call| call.nth > 2) {
            let waited = gap(asked, call);
            assert!(
                waited >= secs(30),
                "{waited:?} at {offset}: {}",
                call.number
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_and_caps_hold() {
    let node = far_off(30, |call| {
        Reply::Slow(millis(50), if call.nth % 3 == 0 { 500 } else { 200 })
    })
    .await;
    node.add(endpoint("b")).await;
    let sends = (0..400).map(|_| async { node.send(&outgoing(None)).await.unwrap() });
    futures_util::future::join_all(sends).await;
    assert!(node.drain(secs(60)).await);
    let counts = node.counts().await;
    assert_eq!((counts.delivered, counts.enqueued), (800, 800));
    assert!(node.transport.peak(|call| call.endpoint_id == "a") <= 16);
}

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
    let sending = transport.clone();
    let remote = Arc::new(remote);
    let node = Node::over(remote, &storage, sending, &transport, NEVER_OPENS, settings);
    node.pipeline.ready().await.unwrap();
    node
}

#[tokio::test(start_paused = true)]
async fn a_hold_counts_at_once_though_older_endpoints_are_still_being_read() {
    // The definition changes while the hold is on its way to the storage.
    for offset in (0..300).step_by(20) {
        let node = far_off(40, |call| match call.nth {
            1 => Reply::RetryAfter(429, secs(30)),
            _ => Reply::Status(200),
        })
        .await;
        let changed = WebhookEndpoint {
            timeout_seconds: 7,
            ..endpoint("a")
        };
        let changing = async {
            tokio::time::sleep(millis(offset)).await;
            node.add(changed).await;
        };
        let sending = async {
            for _ in 0..100 {
                let send = outgoing(None);
                let sending = node.send(&send);
                let pause = tokio::time::sleep(millis(10));
                let (_, ()) = tokio::join!(tokio::time::timeout(millis(10), sending), pause);
            }
        };
        tokio::join!(changing, sending);
        assert!(node.drain(secs(60)).await);
        let calls = node.transport.calls();
        let answered = calls[0].at.after(millis(5));
        for call in calls.iter().filter(|call| call.at > answered) {
            let waited = gap(&calls[0], call);
            assert!(
                waited >= secs(30),
                "{waited:?} with a change after {offset} ms"
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

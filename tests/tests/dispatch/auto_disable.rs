use webhooks_core::storage::{DisabledBy, GateChange};
use webhooks_delivery::{Notice, NoticeStream, Settings};
use webhooks_tests::Reply;

use crate::support::*;

const MINUTE: u64 = 60;

async fn failing() -> Node {
    let settings = Settings {
        retry_strategy: every(secs(MINUTE), 1_000),
        auto_disable_after: Some(secs(60 * MINUTE)),
        ..Default::default()
    };
    Node::alone(&["a"], settings, |_| Reply::Status(500)).await
}

#[derive(Debug, Default)]
struct Told {
    failing: Vec<u64>,
    disabled: Vec<(u64, DisabledBy)>,
}

/// What was told within this many minutes, and in which minute.
async fn listen(node: &Node, notices: &mut NoticeStream, minutes: u64) -> Told {
    let start = node.pipeline.now();
    let mut told = Told::default();
    let until = tokio::time::Instant::now() + secs(minutes * MINUTE);
    while let Ok(Some(notice)) = tokio::time::timeout_at(until, notices.next()).await {
        let minute = node.pipeline.now().since(start).as_secs() / MINUTE;
        match notice {
            Notice::EndpointFailing { .. } => told.failing.push(minute),
            Notice::EndpointDisabled { by, .. } => told.disabled.push((minute, by)),
            _ => {}
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_only_failed_for_the_set_time_is_disabled_after_a_warning() {
    let node = failing().await;
    let mut notices = node.pipeline.notices();
    node.send_many("a", 3).await;
    let told = listen(&node, &mut notices, 70).await;
    assert_eq!(told.failing.len(), 1, "{told:?}");
    assert!((48..=50).contains(&told.failing[0]), "{told:?}");
    assert!((60..=62).contains(&told.disabled[0].0), "{told:?}");
    assert_eq!(told.disabled[0].1, DisabledBy::Failing);
    assert_eq!(told.disabled.len(), 1, "{told:?}");

    let calls = node.transport.calls().len();
    node.send(&outgoing(None)).await.unwrap();
    tokio::time::sleep(secs(60 * MINUTE)).await;
    assert_eq!(node.transport.calls().len(), calls, "it is left alone");
    assert_eq!(node.counts().await.suspended, 4, "new events wait too");

    node.transport.follow(|_| Reply::Status(200));
    node.change("a", GateChange::Enable).await;
    assert!(node.drain(secs(2 * MINUTE)).await);
    assert_eq!(node.counts().await.delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn one_success_in_between_starts_the_time_anew() {
    let node = failing().await;
    let mut notices = node.pipeline.notices();
    node.send_many("a", 3).await;
    let told = listen(&node, &mut notices, 55).await;
    assert_eq!(told.failing.len(), 1);
    node.transport
        .follow(|call| Reply::Status(if call.number == 1 { 200 } else { 500 }));
    node.send_to("a").await;
    let told = listen(&node, &mut notices, 55).await;
    assert!(told.disabled.is_empty(), "{told:?}");
    assert!(node.pipeline.endpoint("a").unwrap().endpoint.enabled);
    let told = listen(&node, &mut notices, 10).await;
    assert_eq!(told.disabled.len(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_that_is_enabled_again_has_the_whole_time() {
    let node = failing().await;
    let mut notices = node.pipeline.notices();
    node.send_many("a", 3).await;
    let told = listen(&node, &mut notices, 65).await;
    assert_eq!(told.disabled.len(), 1);
    node.change("a", GateChange::Enable).await;
    let told = listen(&node, &mut notices, 55).await;
    assert!(
        told.disabled.is_empty() && told.failing.len() == 1,
        "{told:?}"
    );
    let told = listen(&node, &mut notices, 10).await;
    assert_eq!(told.disabled.len(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn it_can_be_turned_off() {
    let settings = Settings {
        retry_strategy: every(secs(MINUTE), 1_000),
        auto_disable_after: None,
        ..Default::default()
    };
    let node = Node::alone(&["a"], settings, |_| Reply::Status(500)).await;
    node.send_to("a").await;
    tokio::time::sleep(secs(120 * MINUTE)).await;
    assert!(node.transport.calls().len() > 100);
    assert!(node.pipeline.endpoint("a").unwrap().endpoint.enabled);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_answers_many_requests_with_410_is_told_of_once() {
    let settings = Settings::default();
    let node = Node::alone(&["a"], settings, |_| Reply::Slow(millis(100), 410)).await;
    let mut notices = node.pipeline.notices();
    node.send_many("a", 16).await;
    let told = listen(&node, &mut notices, 1).await;
    assert_eq!(told.disabled, [(0, DisabledBy::Gone)]);
    assert_eq!(node.transport.calls().len(), 16);
}

use std::time::Duration;

use webhooks_core::storage::WebhookStorage;
use webhooks_core::{BatchConfig, DeliveryState, WebhookEndpoint, WebhookError};
use webhooks_delivery::Settings;
use webhooks_tests::{Reply, ScriptedTransport};

use crate::remote_storage::RemoteStorage;
use crate::support::*;

#[tokio::test(start_paused = true)]
async fn drain_is_true_once_nothing_waits_and_false_while_something_does() {
    let settings = Settings {
        retry_strategy: every(secs(30), 5),
        ..Default::default()
    };
    let node = Node::alone(&["a"], settings, |call| match call.nth {
        1 => Reply::Status(500),
        _ => Reply::Slow(secs(5), 200),
    })
    .await;
    assert!(node.drain(secs(0)).await, "nothing was sent");
    node.send_to("a").await;
    assert!(!node.drain(secs(10)).await, "a retry waits");
    assert!(!node.drain(secs(22)).await, "it runs");
    assert!(node.drain(secs(10)).await);
    assert!(node.drain(secs(0)).await);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_what_runs_and_gives_back_what_waits() {
    let storage = storage();
    let transport = ScriptedTransport::new(|_| Reply::Slow(secs(2), 200));
    let settings = || Settings {
        max_in_flight_per_endpoint: 4,
        ..Default::default()
    };
    let node = Node::start(&storage, &transport, NEVER_OPENS, settings());
    node.add(endpoint("a")).await;
    let ids = node.send_many("a", 50).await;
    tokio::time::sleep(secs(1)).await;
    assert!(node.pipeline.shut_down(secs(10)).await);
    let counts = node.counts().await;
    assert_eq!((counts.delivered, counts.leased, counts.ready), (4, 0, 46));
    assert_eq!(transport.calls().len(), 4);
    let error = node.send(&outgoing(None)).await.unwrap_err();
    assert!(matches!(error, WebhookError::ShutDown(_)));
    assert!(!node.pipeline.is_alive());

    let next = Node::start(&storage, &transport, NEVER_OPENS, settings());
    assert!(next.drain(secs(60)).await);
    assert_eq!(transport.calls().len(), 50);
    for id in ids {
        let record = next.record(id).await;
        assert_eq!(record.state, DeliveryState::Delivered);
        assert_eq!((record.delivery.attempts, record.delivery.crashes), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_the_deadline_is_cut_off_and_not_counted() {
    let storage = storage();
    let transport = ScriptedTransport::new(|_| Reply::Hang);
    let node = Node::start(&storage, &transport, NEVER_OPENS, Settings::default());
    node.add(endpoint("a")).await;
    let ids = node.send_many("a", 30).await;
    tokio::time::sleep(secs(1)).await;
    let start = node.pipeline.now();
    assert!(!node.pipeline.shut_down(secs(3)).await);
    assert!(node.pipeline.now().since(start) < millis(3_100));
    let counts = node.counts().await;
    assert_eq!((counts.ready, counts.leased), (30, 0));
    for id in ids {
        let delivery = node.record(id).await.delivery;
        assert_eq!((delivery.attempts, delivery.crashes), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_meanwhile_is_given_back() {
    let node = Node::alone(&[], Settings::default(), |_| Reply::Slow(secs(2), 400)).await;
    let batch = BatchConfig {
        max_events: 3,
        max_wait_ms: 0,
        max_bytes: 1 << 20,
    };
    node.add(WebhookEndpoint {
        batch: Some(batch),
        ..endpoint("a")
    })
    .await;
    node.send_many("a", 3).await;
    tokio::time::sleep(secs(1)).await;
    node.pipeline.shut_down(secs(10)).await;
    let counts = node.counts().await;
    assert_eq!((counts.ready, counts.leased), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_of_an_endpoint_that_is_still_being_read_is_given_back() {
    for offset in (0..800).step_by(100) {
        let storage = storage();
        let transport = ScriptedTransport::new(|_| Reply::Status(200));
        let sends_only = Settings {
            workers: 0,
            ..Default::default()
        };
        let sender = Node::start(&storage, &transport, NEVER_OPENS, sends_only);
        let (far, settings) = (
            RemoteStorage::new(&storage, millis(50)),
            Settings::default(),
        );
        let way = transport.clone();
        let node = Node::over(far, &storage, way, &transport, NEVER_OPENS, settings);
        node.pipeline.ready().await.unwrap();
        tokio::time::sleep(millis(3_000 + offset)).await;
        sender.add(endpoint("new")).await;
        sender.send_many("new", 10).await;
        while node.counts().await.leased == 0 {
            tokio::time::sleep(millis(1)).await;
        }
        // The claim has been answered, and this process asks who that endpoint is.
        tokio::time::sleep(millis(60)).await;
        node.pipeline.shut_down(secs(10)).await;
        let counts = node.counts().await;
        assert_eq!((counts.waiting(), counts.leased), (counts.ready, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn drain_returns_once_the_last_request_has_ended() {
    let node = Node::alone(&["a"], Settings::default(), |_| {
        Reply::Slow(millis(33), 200)
    })
    .await;
    node.send_to("a").await;
    let began = tokio::time::Instant::now();
    assert!(node.drain(secs(10)).await);
    assert!(began.elapsed() <= millis(35), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn events_that_are_being_sent_while_it_shuts_down_are_stored_or_refused() {
    let storage = storage();
    let transport = ScriptedTransport::new(|_| Reply::Slow(millis(10), 200));
    let node = Node::start(&storage, &transport, NEVER_OPENS, Settings::default());
    node.add(endpoint("a")).await;
    let sending = futures_util::future::join_all((0..200_u64).map(|n| {
        let node = &node;
        async move {
            tokio::time::sleep(millis(n)).await;
            node.send(&outgoing(None)).await.is_ok()
        }
    }));
    let stopping = async {
        tokio::time::sleep(millis(100)).await;
        node.pipeline.shut_down(secs(10)).await
    };
    let (sent, ended) = tokio::join!(sending, stopping);
    assert!(ended);
    let taken = sent.into_iter().filter(|taken| *taken).count() as u64;
    let counts = node.counts().await;
    assert_eq!((counts.enqueued, counts.leased), (taken, 0));
    assert!((50..150).contains(&taken), "{taken}");
    assert_balanced(&counts);
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_still_brings_while_it_shuts_down_is_given_back_before_it_returns() {
    let storage = storage();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let transport = ScriptedTransport::new(|_| Reply::Status(200));
    let remote = RemoteStorage::new(&storage, millis(20));
    let node = Node::over(
        remote,
        &storage,
        transport.clone(),
        &transport,
        NEVER_OPENS,
        Settings::default(),
    );
    node.pipeline.ready().await.unwrap();
    let send_only = Settings {
        workers: 0,
        ..Default::default()
    };
    let sender = Node::start(&storage, &transport, NEVER_OPENS, send_only);
    let ids = sender.send_many("a", 20).await;
    // The claim that found them is on its way back.
    tokio::time::sleep(millis(30)).await;
    assert_eq!(node.counts().await.leased, 20);
    assert!(node.pipeline.shut_down(secs(10)).await);
    let counts = node.counts().await;
    assert_eq!((counts.ready, counts.leased), (20, 0));
    for id in ids {
        assert_eq!(sender.record(id).await.delivery.crashes, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_all_time_is_waited_for() {
    let settings = Settings::default();
    let node = Node::alone(&["a"], settings, |_| Reply::Slow(secs(2), 200)).await;
    node.send_to("a").await;
    assert!(node.drain(Duration::MAX).await);
    node.send_to("a").await;
    assert!(node.pipeline.shut_down(Duration::MAX).await);
    assert_eq!(node.counts().await.delivered, 2);
}

#[test]
fn a_runtime_that_ends_while_deliveries_wait_does_not_hang() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for workers in [1, 2] {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
                .unwrap();
            let node = runtime.block_on(async {
                let settings = Settings {
                    max_in_flight_per_endpoint: 1,
                    ..Default::default()
                };
                let node = Node::alone(&["a"], settings, |_| Reply::Hang).await;
                node.send_many("a", 10).await;
                while node.transport.calls().is_empty() {
                    tokio::task::yield_now().await;
                }
                node
            });
            drop(runtime);
            drop(node);
        }
        let _ = done.send(());
    });
    ended.recv_timeout(secs(10)).unwrap();
}

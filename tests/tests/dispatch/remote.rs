//! On a storage that takes its time, what this process has just decided counts before it is stored.

use std::sync::Arc;

use serde_json::json;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{GateChange, OutboxEvent};
use webhooks_core::{DeliveryState, EventId, EventType, Priority, SendOptions, WebhookEndpoint};
use webhooks_delivery::{Notice, Settings};
use webhooks_tests::{Call, Reply, ScriptedTransport};

use crate::remote_storage::{Lost, RemoteStorage, Slow};
use crate::support::*;

fn process(remote: &Arc<RemoteStorage>, transport: &Arc<ScriptedTransport>) -> Node {
    let settings = Settings {
        retry_strategy: every(millis(100), 50),
        ..Default::default()
    };
    let (way, storage) = (remote.clone(), &remote.inner);
    Node::over(
        way,
        storage,
        transport.clone(),
        transport,
        NEVER_OPENS,
        settings,
    )
}

async fn far_off(
    way: u64,
    script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
) -> (Node, Arc<RemoteStorage>) {
    let storage = storage();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let remote = RemoteStorage::new(&storage, millis(way));
    let node = process(&remote, &ScriptedTransport::new(script));
    node.pipeline.ready().await.unwrap();
    (node, remote)
}

#[tokio::test(start_paused = true)]
async fn a_beat_that_takes_long_makes_no_retry_early() {
    for (before, after) in [(0, 8), (4, 4), (8, 0)] {
        let times = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = times.clone();
        let (node, remote) = far_off(1, move |call| {
            noted.lock().unwrap().push(tokio::time::Instant::now());
            match call.nth {
                1 => Reply::RetryAfter(503, secs(8)),
                _ => Reply::Status(200),
            }
        })
        .await;
        tokio::time::sleep(secs(2)).await;
        *remote.slow_beat.lock().unwrap() = Some([secs(before), secs(after)]);
        tokio::time::sleep(secs(1)).await;
        node.send_to("a").await;
        assert!(node.drain(secs(60)).await);
        let times = times.lock().unwrap();
        let waited = times[1] - times[0];
        assert!(waited >= secs(8), "{waited:?} with {before} and {after}");
        assert!(waited < secs(14), "{waited:?} with {before} and {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_counts_at_once_though_older_endpoints_are_still_being_read() {
    // The definition changes while the hold is on its way to the storage.
    for offset in (0..300).step_by(20) {
        let (node, _) = far_off(40, |call| match call.nth {
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
async fn a_resume_counts_though_the_hold_that_it_ends_has_just_been_stored() {
    // The endpoint is resumed while the hold is on its way to the storage and back.
    for offset in (0..200).step_by(10) {
        let (node, _) = far_off(20, |call| match call.nth {
            1 => Reply::RetryAfter(429, secs(3_600)),
            _ => Reply::Status(200),
        })
        .await;
        node.send_to("a").await;
        tokio::time::sleep(millis(offset)).await;
        node.change("a", GateChange::Resume).await;
        tokio::time::sleep(secs(2)).await;
        let is_held = node
            .pipeline
            .endpoint("a")
            .unwrap()
            .gate
            .held_until
            .is_some();
        node.send_to("a").await;
        tokio::time::sleep(secs(5)).await;
        let counts = node.counts().await;
        assert_eq!(counts.delivered == 1, !is_held, "resumed after {offset} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_and_caps_hold() {
    let (node, _) = far_off(30, |call| {
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

#[tokio::test(start_paused = true)]
async fn a_storage_that_fails_for_a_while_loses_nothing_and_stops_requests() {
    for lost in [Lost::Calls, Lost::Answers] {
        let (node, remote) = far_off(5, |_| Reply::Slow(millis(300), 200)).await;
        let mut sent = Vec::new();
        for step in 0..600 {
            match step {
                50 => remote.lose(Some(lost)),
                500 => remote.lose(None),
                _ => {}
            }
            if let Ok(answer) = node.send(&outgoing(None)).await {
                sent.extend(answer.delivery_ids);
            }
            tokio::time::sleep(millis(90)).await;
        }
        assert!(sent.len() >= 100);
        assert!(node.drain(secs(120)).await, "{lost:?}");
        let counts = node.counts().await;
        assert_eq!(counts.delivered, counts.enqueued, "{lost:?}");
        for id in sent {
            assert_eq!(node.record(id).await.state, DeliveryState::Delivered);
        }
        let calls = node.transport.calls();
        let gaps = calls.windows(2).map(|pair| gap(&pair[0], &pair[1]));
        assert!(
            gaps.max().unwrap() > secs(30),
            "it stops before its leases end"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_leased_long_after_its_commit_failed_is_found() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    remote.lose(Some(Lost::Late));
    assert!(node.send(&outgoing(None)).await.is_err());
    remote.lose(None);
    tokio::time::sleep(secs(4)).await;
    assert_eq!(node.counts().await.leased, 1);
    assert!(node.drain(secs(60)).await);
    assert_eq!(node.counts().await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_leased_long_after_its_claim_failed_is_found() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    let sends_only = Settings {
        workers: 0,
        ..Default::default()
    };
    let sender = Node::start(&remote.inner, &node.transport, NEVER_OPENS, sends_only);
    sender.pipeline.ready().await.unwrap();
    remote.lose(Some(Lost::Late));
    // The first claims fail for good before there is anything to find.
    tokio::time::sleep(secs(2)).await;
    remote.lose(None);
    sender.send_many("a", 5).await;
    tokio::time::sleep(secs(4)).await;
    assert!(node.drain(secs(60)).await);
    assert_eq!(node.counts().await.delivered, 5);
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_brings_is_not_given_back_while_its_endpoint_is_read() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    // So that it looks for what it may have leased without knowing.
    remote.lose(Some(Lost::Answers));
    tokio::time::sleep(secs(3)).await;
    remote.lose(None);
    remote.slow_down(Some((Slow::Refreshes, secs(60))));
    // Another node registers an endpoint, which this one learns of with the delivery.
    let sends_only = Settings {
        workers: 0,
        ..Default::default()
    };
    let sender = Node::start(&remote.inner, &node.transport, NEVER_OPENS, sends_only);
    sender.pipeline.ready().await.unwrap();
    sender.add(endpoint("b")).await;
    sender.send_many("b", 3).await;
    tokio::time::sleep(secs(50)).await;
    remote.slow_down(None);
    assert!(node.drain(secs(120)).await);
    assert_eq!(node.transport.calls().len(), 3, "each once");
    assert_eq!(node.counts().await.delivered, 3);
    assert_eq!(*remote.released.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_is_not_sent_when_its_answer_comes_after_all() {
    for what in [Slow::Claims, Slow::Commits] {
        let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
        remote.lose(Some(Lost::Answers));
        tokio::time::sleep(secs(3)).await;
        remote.lose(None);
        remote.slow_down(Some((what, secs(45))));
        let delay = match what {
            Slow::Commits => secs(0),
            _ => millis(100),
        };
        let send = SendOptions {
            delay,
            ..outgoing(None)
        };
        let (sent, ()) = tokio::join!(node.send(&send), async {
            // By then the claimers have asked again; what is claimed once more is told at once.
            tokio::time::sleep(secs(10)).await;
            remote.slow_down(None);
        });
        sent.unwrap();
        assert!(node.drain(secs(120)).await, "{what:?}");
        tokio::time::sleep(secs(60)).await;
        assert_eq!(node.transport.calls().len(), 1, "{what:?}");
        assert_eq!(node.counts().await.delivered, 1, "{what:?}");
        assert_eq!(*remote.released.lock().unwrap(), 1, "{what:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_given_up_starts_nothing_of_what_others_have_taken() {
    let (lost, remote) = far_off(5, |_| Reply::Slow(secs(20), 200)).await;
    let other = process(
        &RemoteStorage::new(&remote.inner, millis(5)),
        &ScriptedTransport::new(|_| Reply::Slow(millis(10), 200)),
    );
    other.pipeline.ready().await.unwrap();
    lost.send_many("a", 200).await;
    tokio::time::sleep(secs(1)).await;
    remote.lose(Some(Lost::Calls));
    tokio::time::sleep(secs(30)).await;
    let counts = other.counts().await;
    assert_eq!((counts.delivered, counts.waiting()), (200, 0));
    let started = lost.transport.calls().len();
    remote.lose(None);
    tokio::time::sleep(secs(30)).await;
    assert_eq!(lost.transport.calls().len(), started, "all had ended");
    assert!(lost.drain(secs(1)).await);
    lost.send_many("a", 200).await;
    assert!(lost.drain(secs(60)).await, "it works again");
    assert_eq!(lost.counts().await.delivered, 400);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_what_was_sent_inside_a_transaction() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    let now = node.pipeline.now();
    remote.put_into_outbox(OutboxEvent {
        id: EventId::new(now),
        event_type: EventType::new(EVENT).unwrap(),
        tenant: None,
        data: "{}".into(),
        priority: Priority::Normal,
        created_at: now,
        due_at: now,
        max_retries: None,
        idempotency_key: None,
        ordering_key: None,
        trace: None,
    });
    assert!(node.drain(secs(10)).await);
    assert_eq!(node.transport.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_told_of_though_the_answer_that_it_is_stored_was_lost() {
    let (node, remote) = far_off(5, |_| Reply::Slow(millis(50), 200)).await;
    let mut notices = node.pipeline.notices();
    node.send_to("a").await;
    remote.lose(Some(Lost::Answers));
    tokio::time::sleep(millis(500)).await;
    assert_eq!(node.counts().await.delivered, 1);
    remote.lose(None);
    let sent = notices.next().await;
    assert!(matches!(sent, Some(Notice::Sent { .. })), "{sent:?}");
    let told = tokio::time::timeout(secs(5), notices.next()).await;
    assert!(
        matches!(told, Ok(Some(Notice::Delivered { .. }))),
        "{told:?}"
    );
    assert!(node.drain(secs(5)).await);
    assert!(tokio::time::timeout(secs(5), notices.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn however_many_endpoints_an_event_has_a_commit_is_bounded() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    for n in 0..1_000 {
        let endpoint = endpoint(&format!("a{n}"));
        node.storage.save_endpoint(&endpoint).await.unwrap();
    }
    node.pipeline.refresh().await.unwrap();
    let later = SendOptions {
        delay: secs(3_600),
        ..outgoing(None)
    };
    let sends = (0..20).map(|_| node.send(&later));
    let sent = futures_util::future::try_join_all(sends).await.unwrap();
    assert!(sent.iter().all(|sent| sent.delivery_ids.len() == 1_001));
    let commits = remote.enqueued.lock().unwrap();
    assert_eq!(commits.iter().sum::<usize>(), 20 * 1_001);
    assert!(commits.iter().all(|most| *most <= 256), "{commits:?}");
    assert!(commits.len() <= 20 * 4, "{commits:?}");
}

#[tokio::test(start_paused = true)]
async fn events_for_some_endpoints_share_commits_of_a_bounded_size() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    for n in 0..39 {
        let endpoint = endpoint(&format!("a{n}"));
        node.storage.save_endpoint(&endpoint).await.unwrap();
    }
    node.pipeline.refresh().await.unwrap();
    let later = SendOptions {
        delay: secs(3_600),
        ..outgoing(None)
    };
    let data = json!({});
    let batch = vec![(later.clone(), &data); 60];
    let (sent, alone) = tokio::join!(
        node.pipeline.send_all(&batch),
        futures_util::future::try_join_all((0..40).map(|_| node.send(&later)))
    );
    assert!(sent.unwrap().iter().all(Result::is_ok));
    assert_eq!(alone.unwrap().len(), 40);
    let commits = remote.enqueued.lock().unwrap();
    assert_eq!(commits.iter().sum::<usize>(), 100 * 40);
    assert!(commits.iter().all(|most| *most <= 256), "{commits:?}");
    assert!(commits.len() <= 20, "{commits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_in_the_middle_tells_what_is_stored() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    for n in 0..199 {
        let endpoint = endpoint(&format!("a{n}"));
        node.storage.save_endpoint(&endpoint).await.unwrap();
    }
    node.pipeline.refresh().await.unwrap();
    let data = json!({});
    let batch = vec![(outgoing(None), &data); 5];
    let failing = async {
        while remote.enqueued.lock().unwrap().len() < 2 {
            tokio::time::sleep(millis(1)).await;
        }
        remote.lose(Some(Lost::Calls));
    };
    let (answers, ()) = tokio::join!(node.pipeline.send_all(&batch), failing);
    let answers = answers.unwrap();
    let stored = answers.iter().take_while(|answer| answer.is_ok()).count();
    assert!((1..5).contains(&stored), "{answers:?}");
    assert!(answers.iter().skip(stored).all(Result::is_err));
    assert_eq!(node.counts().await.enqueued, stored as u64 * 200);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_looks_for_an_endpoint_leaks_no_place() {
    let (node, remote) = far_off(5, |_| Reply::Status(200)).await;
    let data = json!({});
    // The first finds a place at once, the second is for whom the storage is asked.
    let batch = [
        (outgoing(Some("a")), &data),
        (outgoing(Some("unknown")), &data),
    ];
    remote.lose(Some(Lost::Calls));
    for _ in 0..100 {
        assert!(node.pipeline.send_all(&batch).await.is_err());
    }
    remote.lose(None);
    for _ in 0..100 {
        let sending = node.pipeline.send_all(&batch);
        drop(tokio::time::timeout(millis(1), sending).await);
    }
    assert!(node.drain(secs(60)).await);
}

#[tokio::test(start_paused = true)]
async fn the_next_suspect_is_asked_for_once_the_last_one_is_settled() {
    let storage = storage();
    for death in 0..2 {
        let transport = ScriptedTransport::new(|_| Reply::Hang);
        let doomed = Node::start(&storage, &transport, NEVER_OPENS, Settings::default());
        if death == 0 {
            doomed.add(endpoint("a")).await;
            doomed.send_many("a", 8).await;
        }
        tokio::time::sleep(secs(20)).await;
        assert_eq!(storage.counts(None).await.unwrap().leased, 8);
    }
    let transport = ScriptedTransport::new(|_| Reply::Slow(millis(500), 200));
    let last = process(&RemoteStorage::new(&storage, millis(100)), &transport);
    assert!(last.drain(secs(120)).await);
    let calls = last.transport.calls();
    assert_eq!(calls.len(), 8);
    for pair in calls.windows(2) {
        // The answer, the settlement and the claim: a death in between would blame both.
        assert!(gap(&pair[0], &pair[1]) >= millis(900));
    }
}

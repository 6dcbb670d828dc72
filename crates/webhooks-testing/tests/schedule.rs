//! A service that tests itself: hours pass in milliseconds, with no socket.

#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::time::Duration;

use better_auth_webhooks::storage::{MemoryLimits, MemoryStorage};
use better_auth_webhooks::{
    DeadReason, FailureKind, Notice, NoticeStream, RetryStrategy, SignatureScheme, WebhookEndpoint,
    WebhookReceiver, WebhookSystem, WebhookSystemBuilder, generate_secret,
};
use serde_json::json;
use webhooks_testing::{Reply, ScriptedTransport};

const HOUR: Duration = Duration::from_secs(3_600);

fn endpoint(id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: "https://hooks.example.com/in".into(),
        secret: "webhook_secret".into(),
        events: vec!["user.*".into()],
        ..Default::default()
    }
}

async fn started(builder: WebhookSystemBuilder, transport: &ScriptedTransport) -> WebhookSystem {
    let system = builder
        .transport(transport.clone())
        .build(MemoryStorage::new());
    system.register_endpoint(endpoint("a")).await.unwrap();
    system
}

#[tokio::test(start_paused = true)]
async fn the_whole_default_schedule_passes_in_a_moment() {
    let transport = ScriptedTransport::by(|_| Reply::status(500));
    let system = started(WebhookSystem::builder(), &transport).await;
    system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();

    let retries = RetryStrategy::default();
    let requests = transport.expect(12).await;
    let mut delay = Duration::from_millis(retries.initial_delay_ms);
    for pair in requests.windows(2) {
        let gap = pair[1].at.since(pair[0].at);
        assert!(gap >= delay.mul_f64(0.9), "{gap:?}");
        // The circuit holds the endpoint back for up to a minute more.
        assert!(
            gap <= delay.mul_f64(1.1) + Duration::from_secs(62),
            "{gap:?}"
        );
        delay = delay.mul_f64(retries.backoff_multiplier);
        delay = delay.min(Duration::from_millis(retries.max_delay_ms));
    }
    assert_eq!(requests.last().unwrap().attempt, 12);
    transport.expect_none(10 * HOUR).await;
    assert_eq!(system.get_metrics().await.unwrap().failed_deliveries, 1);
}

#[tokio::test(start_paused = true)]
async fn replies_are_given_in_order_and_mean_what_they_do_on_the_network() {
    let transport = ScriptedTransport::new();
    let system = started(WebhookSystem::builder(), &transport).await;
    transport.reply(
        "a",
        [Reply::status(503).retry_after(2 * HOUR), Reply::hang()],
    );
    transport.reply(
        "a",
        [Reply::failure(FailureKind::Connect), Reply::not_tried()],
    );
    let receipt = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();

    let requests = transport.expect(5).await;
    assert!(requests[1].at.since(requests[0].at) >= 2 * HOUR);
    let numbers: Vec<_> = requests.iter().map(|request| request.attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 4], "what was not tried is no attempt");
    assert!(system.drain(Duration::from_secs(1)).await.unwrap());
    let delivery = system.delivery(&receipt.delivery_ids[0]).await.unwrap();
    let came: Vec<_> = delivery
        .attempts
        .iter()
        .map(|a| (a.status, a.failure))
        .collect();
    assert_eq!(
        came,
        [
            (Some(503), Some(FailureKind::ServerError)),
            (None, Some(FailureKind::Timeout)),
            (None, Some(FailureKind::Connect)),
            (Some(200), None),
        ]
    );
    assert_eq!(delivery.attempts[1].duration, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_request_carries_what_its_receiver_checks() {
    let transport = ScriptedTransport::new();
    let system = started(WebhookSystem::builder(), &transport).await;
    let secret = generate_secret().unwrap();
    let both = WebhookEndpoint {
        secret: secret.clone(),
        signature: SignatureScheme::Both,
        headers: [("Authorization".to_owned(), "hunter2".to_owned())].into(),
        user_agent: Some("ours/1".into()),
        ..endpoint("b")
    };
    system.register_endpoint(both).await.unwrap();
    let data = json!({ "user_id": "123" });
    let receipt = system.send_webhook("user.created", &data).await.unwrap();

    for request in transport.expect(2).await {
        let secret = if request.endpoint_id == "a" {
            "webhook_secret"
        } else {
            &secret
        };
        let receiver = WebhookReceiver::new(secret);
        let at = request.at.as_secs();
        receiver
            .verify_at(&request.headers, &request.body, at)
            .unwrap();
        assert!(receiver.verify_at(&request.headers, b"{}", at).is_err());
        assert_eq!(request.headers["x-webhook-id"], receipt.event_id.as_str());
        assert_eq!(request.headers["x-webhook-attempt"], "1");
        assert_eq!(request.json()["data"], data);
        assert_eq!(request.timeout, Duration::from_secs(30));
        assert!(!format!("{request:?}").contains("hunter2"));
    }
    let request = transport.requests_to("b").remove(0);
    assert_eq!(request.headers["authorization"], "hunter2");
    assert_eq!(request.headers["user-agent"], "ours/1");
    assert!(request.headers.contains_key("webhook-signature"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_fails_the_test_with_what_did() {
    let transport = ScriptedTransport::new().with_patience(HOUR);
    let system = started(WebhookSystem::builder(), &transport).await;
    system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    let waiting = transport.clone();
    let error = tokio::spawn(async move { waiting.expect(2).await });
    let panic = error.await.unwrap_err().into_panic();
    let text = panic.downcast_ref::<String>().unwrap();
    assert_eq!(
        text,
        "1 requests came, and within 3600s no further one of 2"
    );

    let waiting = transport.clone();
    let quiet = tokio::spawn(async move { waiting.expect_none(HOUR).await });
    tokio::task::yield_now().await;
    system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    assert!(quiet.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_counted() {
    let transport = ScriptedTransport::by(|_| Reply::status(200).after(Duration::from_secs(1)));
    let builder = WebhookSystem::builder().max_in_flight_per_endpoint(3);
    let system = started(builder, &transport).await;
    for _ in 0..20 {
        system
            .send_webhook("user.created", json!({}))
            .await
            .unwrap();
    }
    assert_eq!(transport.expect(20).await.last().unwrap().nth, 20);
    assert_eq!(
        transport.most_in_flight(|request| request.endpoint_id == "a"),
        3
    );
    assert_eq!(transport.most_in_flight(|_| false), 0);
}

#[tokio::test(start_paused = true)]
async fn ends_without_an_attempt_have_notices_too() {
    let transport = ScriptedTransport::by(|_| Reply::status(500).after(Duration::from_secs(1)));
    let storage = MemoryStorage::new().with_limits(MemoryLimits {
        waiting_per_endpoint: 1,
        ..Default::default()
    });
    let system = WebhookSystem::builder()
        .transport(transport.clone())
        .build(storage);
    system.register_endpoint(endpoint("a")).await.unwrap();
    let mut notices = system.notices().unwrap();

    let sent = system.send_webhook("user.created", 1).await.unwrap();
    transport.next().await;
    let over = system.send_webhook("user.created", 2).await.unwrap();
    match of_a_delivery(&mut notices).await {
        Notice::Dead { delivery, reason } => {
            assert_eq!(delivery.delivery_id.to_string(), over.delivery_ids[0]);
            assert_eq!((delivery.attempt, reason), (0, DeadReason::BacklogFull));
        }
        notice => panic!("{notice:?}"),
    }
    system.delete_endpoint("a").await.unwrap();
    match of_a_delivery(&mut notices).await {
        Notice::Cancelled { delivery, .. } => {
            assert_eq!(delivery.delivery_id.to_string(), sent.delivery_ids[0]);
            assert_eq!((delivery.attempt, delivery.status), (1, Some(500)));
        }
        notice => panic!("{notice:?}"),
    }
}

/// The next notice that is of a delivery.
async fn of_a_delivery(notices: &mut NoticeStream) -> Notice {
    loop {
        match notices.next().await.unwrap() {
            Notice::Sent { .. } | Notice::EndpointChanged { .. } => {}
            notice => return notice,
        }
    }
}

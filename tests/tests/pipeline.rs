//! Events in, signed requests out, over real sockets.

use std::time::Duration;

use better_auth_webhooks::storage::{DeliveryQuery, MemoryStorage};
use better_auth_webhooks::{
    CircuitBreakerConfig, DeadReason, DeliveryState, FailureKind, NetworkPolicy, OutgoingEvent,
    RetryStrategy, WebhookEndpoint, WebhookReceiver, WebhookSystem, WebhookSystemBuilder,
};
use serde_json::json;
use webhooks_tests::{Receiver, Response};

const SECRET: &str = "hunter2";
const SOON: Duration = Duration::from_secs(10);

fn builder() -> WebhookSystemBuilder {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(RetryStrategy {
            max_retries: 3,
            initial_delay_ms: 10,
            max_delay_ms: 100,
            backoff_multiplier: 2.0,
        })
        .circuit_breaker(CircuitBreakerConfig {
            failure_threshold: 100,
            ..Default::default()
        })
}

fn endpoint(id: &str, receiver: &Receiver) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: receiver.url(),
        secret: SECRET.into(),
        events: vec!["user.*".into()],
        ..Default::default()
    }
}

#[tokio::test]
async fn an_event_arrives_signed_and_is_verified() {
    let receiver = Receiver::responding(204).await;
    let system = builder().build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();

    let receipt = system
        .send_webhook("user.created", json!({ "user_id": "123" }))
        .await
        .unwrap();
    assert!(system.drain(SOON).await.unwrap());

    let [request] = &receiver.received()[..] else {
        panic!("one request")
    };
    let verifier = WebhookReceiver::new(SECRET);
    let webhook = verifier.receive(&request.headers, &request.body).unwrap();
    assert_eq!(webhook.id, receipt.event_id);
    assert_eq!(webhook.event, "user.created");
    assert_eq!(webhook.data, json!({ "user_id": "123" }));
    assert_eq!(request.header("x-webhook-id"), receipt.event_id);
    assert_eq!(
        request.header("x-webhook-delivery"),
        receipt.delivery_ids[0]
    );
    assert_eq!(request.header("x-webhook-attempt"), "1");
    assert_eq!(request.header("x-webhook-event"), "user.created");
    assert_eq!(request.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_failed_attempt_is_retried_with_the_same_bytes() {
    let script = |_: &_, n| Response::Status(if n < 3 { 503 } else { 200 });
    let receiver = Receiver::start(script).await;
    let system = builder().build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();

    let receipt = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    assert!(system.drain(SOON).await.unwrap());

    let received = receiver.received();
    let attempts: Vec<_> = received
        .iter()
        .map(|r| r.header("x-webhook-attempt"))
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    assert!(received.iter().all(|r| r.body == received[0].body));
    let record = system.delivery(&receipt.delivery_ids[0]).await.unwrap();
    assert_eq!(record.state, DeliveryState::Delivered);
    let statuses: Vec<_> = record.attempts.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(200)]);
}

#[tokio::test]
async fn what_is_hopeless_becomes_a_dead_letter_that_can_be_replayed() {
    let receiver = Receiver::start(|_, n| Response::Status(if n <= 4 { 500 } else { 200 })).await;
    let system = builder().build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();
    let receipt = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    assert!(system.drain(SOON).await.unwrap());

    let letters = system.dead_letters();
    let page = letters.list(&DeliveryQuery::default()).await.unwrap();
    let [letter] = &page.items[..] else {
        panic!("one dead letter")
    };
    assert_eq!(letter.dead_reason, Some(DeadReason::AttemptsExhausted));
    assert_eq!(letter.attempts.len(), 4);
    assert_eq!(letter.attempts[3].failure, Some(FailureKind::ServerError));

    letters.replay(&receipt.delivery_ids[0]).await.unwrap();
    assert!(system.drain(SOON).await.unwrap());
    let received = receiver.received();
    assert_eq!(received.len(), 5);
    assert_eq!(received[4].header("x-webhook-attempt"), "1");
    assert_eq!(received[4].header("x-webhook-id"), receipt.event_id);
    let metrics = system.get_metrics().await.unwrap();
    assert_eq!(
        (metrics.total_deliveries, metrics.successful_deliveries),
        (1, 1)
    );
    assert_eq!(metrics.failed_deliveries, 0);
}

#[tokio::test]
async fn a_burst_goes_over_the_connections_of_the_one_before() {
    const REQUESTS: usize = 300;
    let response = |_: &_, _| Response::After(Duration::from_millis(200), 200);
    let receiver = Receiver::start(response).await;
    let system = builder()
        .max_in_flight(REQUESTS)
        .max_in_flight_per_endpoint(REQUESTS)
        .build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();
    for _ in 0..3 {
        let burst = (0..2 * REQUESTS).map(|_| OutgoingEvent::new("user.created"));
        system.send_batch(burst).await.unwrap();
        assert!(system.drain(SOON).await.unwrap());
    }
    assert_eq!(receiver.count(), 6 * REQUESTS);
    let connections = receiver.connections();
    assert!(connections <= REQUESTS, "{connections}");
}

#[tokio::test]
async fn a_410_disables_the_endpoint() {
    let receiver = Receiver::responding(410).await;
    let system = builder().build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();
    system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    assert!(system.drain(SOON).await.unwrap());

    assert!(!system.get_endpoint("a").await.unwrap().unwrap().enabled);
    let receipt = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    assert!(receipt.delivery_ids.is_empty());
    assert_eq!(receiver.count(), 1);
    let page = system
        .dead_letters()
        .list(&DeliveryQuery::default())
        .await
        .unwrap();
    assert_eq!(
        page.items[0].dead_reason,
        Some(DeadReason::PermanentFailure)
    );
}

#[tokio::test]
async fn shutdown_lets_a_request_in_flight_end_and_takes_nothing_more() {
    let receiver = Receiver::start(|_, _| Response::After(Duration::from_millis(200), 200)).await;
    let system = builder().build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();
    system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    receiver.wait_for(1).await;
    system.shutdown(SOON).await.unwrap();
    assert_eq!(system.get_metrics().await.unwrap().successful_deliveries, 1);
    let error = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("shut down"), "{error}");
}

#[tokio::test]
async fn a_request_cut_off_by_shutdown_counts_no_attempt_and_goes_out_again() {
    let hanging = Receiver::start(|_, n| {
        if n == 1 {
            Response::Hang
        } else {
            Response::Status(200)
        }
    })
    .await;
    let storage = std::sync::Arc::new(MemoryStorage::new());
    let system = builder().build(storage.clone());
    system
        .register_endpoint(endpoint("a", &hanging))
        .await
        .unwrap();
    system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    hanging.wait_for(1).await;
    system.shutdown(Duration::from_millis(50)).await.unwrap();

    let next = builder().build(storage);
    assert!(next.drain(SOON).await.unwrap());
    let received = hanging.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].header("x-webhook-attempt"), "1");
}

#[tokio::test]
async fn an_endpoint_has_headers_and_accepted_statuses_of_its_own() {
    let receiver = Receiver::start(|request, n| {
        let own = request.header("content-type") == "application/vnd.acme+json; v=2"
            && request.header("user-agent") == "acme-hooks/1";
        match (own, n) {
            (false, _) => Response::Status(500),
            (true, 1) => Response::Header(302, "location", "/elsewhere".into()),
            (true, 2) => Response::Status(409),
            (true, _) => Response::Status(301),
        }
    })
    .await;
    let system = builder().build(MemoryStorage::new());
    let own = WebhookEndpoint {
        content_type: Some("application/vnd.acme+json; v=2".into()),
        user_agent: Some("acme-hooks/1".into()),
        accepted_statuses: vec![302, 409],
        ..endpoint("a", &receiver)
    };
    system.register_endpoint(own).await.unwrap();
    let send = async || {
        let receipt = system
            .send_webhook("user.created", json!({}))
            .await
            .unwrap();
        assert!(system.drain(SOON).await.unwrap());
        system.delivery(&receipt.delivery_ids[0]).await.unwrap()
    };
    for status in [302, 409] {
        let delivery = send().await;
        assert_eq!(delivery.state, DeliveryState::Delivered, "{status}");
        assert_eq!(delivery.attempts[0].status, Some(status));
    }
    let delivery = send().await;
    assert_eq!(delivery.state, DeliveryState::Dead);
    let failure = delivery.attempts[0].failure;
    assert_eq!(
        failure,
        Some(FailureKind::Redirect),
        "301 is not in its list"
    );
}

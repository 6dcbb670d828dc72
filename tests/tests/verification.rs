//! Endpoints that get nothing before they have answered a challenge, and how many a tenant may have.

#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{DisabledBy, MemoryStorage, WebhookStorage};
use better_auth_webhooks::{
    NetworkPolicy, WebhookEndpoint, WebhookError, WebhookReceiver, WebhookSystem,
    WebhookSystemBuilder,
};
use serde_json::json;
use webhooks_tests::{Received, Receiver, Response};

const SECRET: &str = "hunter2";
const SOON: Duration = Duration::from_secs(10);

fn builder() -> WebhookSystemBuilder {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .require_verification(true)
}

fn endpoint(id: &str, url: String) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url,
        secret: SECRET.into(),
        events: vec!["*".into()],
        ..Default::default()
    }
}

/// What a consumer does: verify, answer the challenge, take everything else.
fn consume(request: &Received, _: usize) -> Response {
    let receiver = WebhookReceiver::new(SECRET);
    let webhook = receiver.receive(&request.headers, &request.body).unwrap();
    match webhook.challenge_response() {
        Some(response) => Response::Body(200, response),
        None => Response::Status(204),
    }
}

/// Sends an event; how many endpoints it goes to.
async fn send(system: &WebhookSystem) -> usize {
    let receipt = system.send_webhook("user.created", json!(1)).await;
    receipt.unwrap().delivery_ids.len()
}

async fn disabled_by(system: &WebhookSystem) -> Option<DisabledBy> {
    let records = system.list_endpoints().await.unwrap();
    assert_eq!(records.len(), 1);
    records.first().unwrap().gate.disabled
}

fn assert_not_verified(result: Result<(), WebhookError>, problem: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, WebhookError::NotVerified(_)), "{error}");
    assert!(error.to_string().contains(problem), "{error}");
    assert!(!error.to_string().contains(SECRET), "{error}");
}

#[tokio::test]
async fn an_endpoint_gets_nothing_before_it_has_responded_and_everything_then() {
    let receiver = Receiver::start(consume).await;
    // Nothing of usual responses is kept; the challenge is read all the same.
    let system = builder()
        .response_limits(1_024, 0)
        .build(MemoryStorage::new());
    let definition = endpoint("a", receiver.url());
    system.register_endpoint(definition.clone()).await.unwrap();
    assert_eq!(send(&system).await, 0);
    let to_it = system.webhook("user.created").endpoint("a").data(1).send();
    assert!(matches!(
        to_it.await,
        Err(WebhookError::EndpointNotFound(_))
    ));
    assert_eq!(receiver.count(), 0, "registering sends nothing");

    system.verify_endpoint("a").await.unwrap();
    assert_eq!(send(&system).await, 1);
    assert!(system.drain(SOON).await.unwrap());
    system.register_endpoint(definition).await.unwrap();
    system.verify_endpoint("a").await.unwrap();
    let received = receiver.received();
    assert_eq!(received.len(), 2, "what is active is not asked again");
    let ping = &received[0];
    assert_eq!(ping.header("x-webhook-event"), "webhook.ping");
    assert_eq!(ping.header("x-webhook-attempt"), "1");
    let verifier = WebhookReceiver::new(SECRET);
    let webhook = verifier.receive(&ping.headers, &ping.body).unwrap();
    assert_eq!(webhook.id, ping.header("x-webhook-id"));
    assert_eq!(webhook.challenge().unwrap().len(), 64);
}

#[tokio::test]
async fn every_other_response_leaves_it_unverified_and_is_told() {
    let receiver = Receiver::start(|request, n| match n {
        1 => Response::Status(404),
        2 => Response::Status(410),
        3 => Response::Status(204),
        4 => Response::Body(200, r#"{"challenge":"0123"}"#.into()),
        5 => Response::Body(200, r#"{"Challenge":1}"#.into()),
        6 => {
            let echo = String::from_utf8_lossy(&request.body).into_owned();
            Response::Body(500, echo)
        }
        7 => Response::Hang,
        8 => Response::Header(302, "location", "/".into()),
        _ => consume(request, n),
    })
    .await;
    let system = builder().build(MemoryStorage::new());
    let definition = WebhookEndpoint {
        timeout_seconds: 1,
        ..endpoint("a", receiver.url())
    };
    system.register_endpoint(definition).await.unwrap();
    for problem in [
        "\"a\" responded with 404",
        "\"a\" responded with 410",
        "did not answer the challenge",
        "responded with another challenge",
        "did not answer the challenge",
        "\"a\" responded with 500",
        "\"a\" did not respond: timeout",
        "\"a\" responded with 302",
    ] {
        assert_not_verified(system.verify_endpoint("a").await, problem);
        assert_eq!(disabled_by(&system).await, Some(DisabledBy::Unverified));
        assert_eq!(send(&system).await, 0);
    }
    system.verify_endpoint("a").await.unwrap();
    assert_eq!(send(&system).await, 1);

    let mut challenges: Vec<_> = receiver
        .received()
        .iter()
        .filter(|request| request.header("x-webhook-event") == "webhook.ping")
        .map(|request| request.body.clone())
        .collect();
    challenges.sort();
    challenges.dedup();
    assert_eq!(challenges.len(), 9, "each is another one");
}

#[tokio::test]
async fn the_challenge_passes_the_network_guard() {
    let policy = NetworkPolicy::default().allow_http().allow_port(8_080);
    let system = builder()
        .network_policy(policy.allow_name("localhost").unwrap())
        .build(MemoryStorage::new());
    let inside = endpoint("a", "http://localhost:8080/".into());
    system.register_endpoint(inside).await.unwrap();
    let refused = system.verify_endpoint("a").await;
    assert_not_verified(refused, "did not respond: address_refused");
}

#[tokio::test]
async fn nothing_but_a_response_makes_it_active() {
    let receiver = Receiver::start(consume).await;
    let system = builder().build(MemoryStorage::new());
    let definition = endpoint("a", receiver.url());
    system.register_endpoint(definition.clone()).await.unwrap();
    assert_not_verified(system.enable_endpoint("a").await, "verify_endpoint");
    system.disable_endpoint("a").await.unwrap();
    assert_not_verified(system.enable_endpoint("a").await, "verify_endpoint");
    system.update_endpoint(definition.clone()).await.unwrap();
    let rotated = system.rotate_secret("a", "other", SOON).await;
    rotated.unwrap();
    system.pause_endpoint("a").await.unwrap();
    system.resume_endpoint("a").await.unwrap();
    assert_eq!(disabled_by(&system).await, Some(DisabledBy::Unverified));
    assert_eq!(send(&system).await, 0);
    system.verify_endpoint("a").await.unwrap();
    assert_eq!(send(&system).await, 1);

    // Who was registered as disabled has not been asked either.
    let off = WebhookEndpoint {
        enabled: false,
        ..endpoint("b", receiver.url())
    };
    system.register_endpoint(off.clone()).await.unwrap();
    assert_not_verified(system.enable_endpoint("b").await, "verify_endpoint");
    let on = WebhookEndpoint {
        enabled: true,
        ..off
    };
    system.update_endpoint(on).await.unwrap();
    assert_eq!(send(&system).await, 1);
    system.verify_endpoint("b").await.unwrap();
    assert_eq!(send(&system).await, 2);

    // A verified one that was disabled needs no further response.
    system.disable_endpoint("a").await.unwrap();
    system.enable_endpoint("a").await.unwrap();
    assert_eq!(send(&system).await, 2);
}

#[tokio::test]
async fn a_new_url_is_to_be_verified_and_what_waits_goes_there_then() {
    let old = Receiver::start(|request, n| match n {
        1 => consume(request, n),
        _ => Response::Status(500),
    })
    .await;
    let new = Receiver::start(consume).await;
    let system = builder().build(MemoryStorage::new());
    let definition = endpoint("a", old.url());
    system.register_endpoint(definition.clone()).await.unwrap();
    system.verify_endpoint("a").await.unwrap();
    assert_eq!(send(&system).await, 1);
    old.wait_for(2).await;
    let moved = WebhookEndpoint {
        url: new.url(),
        ..definition
    };
    system.update_endpoint(moved.clone()).await.unwrap();
    assert_eq!(disabled_by(&system).await, Some(DisabledBy::Unverified));
    system.register_endpoint(moved).await.unwrap();
    assert!(system.drain(SOON).await.unwrap(), "what waits is held");
    assert_eq!((send(&system).await, new.count()), (0, 0));

    system.verify_endpoint("a").await.unwrap();
    new.wait_for(2).await;
    assert_eq!(new.received()[1].header("x-webhook-event"), "user.created");
}

#[tokio::test]
async fn other_nodes_and_the_next_start_know_what_is_unverified() {
    let receiver = Receiver::start(consume).await;
    let storage: Arc<dyn WebhookStorage> = Arc::new(MemoryStorage::new());
    let definition = endpoint("a", receiver.url());
    let first = builder().build(storage.clone());
    first.register_endpoint(definition.clone()).await.unwrap();
    first.shutdown(SOON).await.unwrap();

    // One without the option keeps to it too.
    let permissive = WebhookSystem::builder().network_policy(NetworkPolicy::permissive());
    let second = permissive.build(storage.clone());
    let third = builder().build(storage);
    for system in [&second, &third] {
        system.register_endpoint(definition.clone()).await.unwrap();
        assert_not_verified(system.enable_endpoint("a").await, "verify_endpoint");
        assert_eq!(send(system).await, 0);
    }
    second.verify_endpoint("a").await.unwrap();
    assert_eq!(disabled_by(&third).await, None);
    assert_eq!(send(&third).await, 1);
}

#[tokio::test]
async fn a_registration_that_was_cut_off_is_taken_up_again() {
    let receiver = Receiver::start(consume).await;
    let storage = Arc::new(MemoryStorage::new());
    let definition = endpoint("a", receiver.url());
    let first_step = WebhookEndpoint {
        enabled: false,
        ..definition.clone()
    };
    storage.save_endpoint(&first_step).await.unwrap();
    let system = builder().build(storage);
    assert_not_verified(system.enable_endpoint("a").await, "verify_endpoint");
    system.register_endpoint(definition).await.unwrap();
    assert_eq!(disabled_by(&system).await, Some(DisabledBy::Unverified));
    system.verify_endpoint("a").await.unwrap();
    assert_eq!(send(&system).await, 1);
}

#[tokio::test]
async fn without_the_option_an_endpoint_is_active_at_once() {
    let receiver = Receiver::start(consume).await;
    let permissive = WebhookSystem::builder().network_policy(NetworkPolicy::permissive());
    let system = permissive.build(MemoryStorage::new());
    let definition = endpoint("a", receiver.url());
    system.register_endpoint(definition).await.unwrap();
    assert_eq!(send(&system).await, 1);
    system.verify_endpoint("a").await.unwrap();
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(receiver.count(), 1);
    let nobody = system.verify_endpoint("b").await.unwrap_err();
    assert!(matches!(nobody, WebhookError::EndpointNotFound(_)));
}

#[tokio::test]
async fn a_tenant_has_no_more_endpoints_than_it_may() {
    let system = WebhookSystem::builder()
        .max_endpoints_per_tenant(2)
        .build(MemoryStorage::new());
    let of = |id: &str, tenant: Option<&str>| WebhookEndpoint {
        tenant: tenant.map(Into::into),
        ..endpoint(id, "https://hooks.example.com/".into())
    };
    for (id, tenant) in [("a", Some("t")), ("b", Some("t")), ("c", Some("u"))] {
        system.register_endpoint(of(id, tenant)).await.unwrap();
    }
    for n in 0..5 {
        let id = format!("own_{n}");
        system.register_endpoint(of(&id, None)).await.unwrap();
    }
    let refused = |result: Result<(), WebhookError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, WebhookError::InvalidEndpoint(_)));
        let text = error.to_string();
        assert!(
            text.contains("tenant \"t\" has 2 endpoints, at most 2"),
            "{text}"
        );
    };
    refused(system.register_endpoint(of("d", Some("t"))).await);
    refused(system.update_endpoint(of("c", Some("t"))).await);
    // What is there may be registered and changed.
    system.register_endpoint(of("a", Some("t"))).await.unwrap();
    system.update_endpoint(of("a", Some("t"))).await.unwrap();
    system.update_endpoint(of("b", Some("u"))).await.unwrap();
    system.register_endpoint(of("d", Some("t"))).await.unwrap();
    refused(system.register_endpoint(of("e", Some("t"))).await);
    system.delete_endpoint("a").await.unwrap();
    system.register_endpoint(of("e", Some("t"))).await.unwrap();
    assert_eq!(system.list_endpoints().await.unwrap().len(), 9);

    let none = WebhookSystem::builder().max_endpoints_per_tenant(0);
    let error = none.try_build(MemoryStorage::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("max_endpoints_per_tenant is 0, it needs 1 or more")
    );
}

//! What a request looks like on the wire.

use crate::support::{Frozen, Server, delivery_to, endpoint, engine, header};
use webhooks_core::{
    Clock, PreviousSecret, SignatureGenerator, SignatureScheme, StandardKey, Transport,
    WebhookEndpoint, WebhookError,
};
use webhooks_delivery::DeliveryEngine;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

async fn request_to(change: impl FnOnce(&mut WebhookEndpoint)) -> (String, String) {
    let server = Server::responding(OK).await;
    let mut endpoint = endpoint(&server.url());
    change(&mut endpoint);
    let mut delivery = delivery_to(endpoint);
    delivery.attempts = 2;
    let result = engine().deliver(&delivery).await.unwrap();
    assert!(result.is_delivered(), "{result:?}");
    let request = server.requests().remove(0);
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.as_bytes(), delivery.event.payload);
    assert_eq!(
        header(&request, "x-webhook-id").unwrap(),
        delivery.event.id.to_string()
    );
    assert_eq!(
        header(&request, "x-webhook-delivery").unwrap(),
        delivery.id.to_string()
    );
    assert_eq!(
        header(&request, "host").unwrap(),
        server.address.to_string()
    );
    let body = body.to_owned();
    (request, body)
}

#[tokio::test]
async fn a_request_carries_the_promised_headers_and_signature() {
    let (request, body) = request_to(|e| drop(e.headers.insert("X-Own".into(), "1".into()))).await;
    assert!(request.starts_with("POST /hook?a=b HTTP/1.1\r\nhost: "));
    let at = Frozen.now().as_secs();
    let mac = SignatureGenerator.generate("secret", body.as_bytes(), at);
    for (name, value) in [
        ("content-type", "application/json"),
        (
            "user-agent",
            concat!("better-auth-webhooks/", env!("CARGO_PKG_VERSION")),
        ),
        ("x-webhook-event", "user.created"),
        ("x-webhook-attempt", "3"),
        ("x-webhook-signature", &format!("t={at},v1={mac}")),
        ("x-own", "1"),
        ("content-length", &body.len().to_string()),
    ] {
        assert_eq!(header(&request, name), Some(value), "{name}");
    }
    assert_eq!(header(&request, "webhook-signature"), None);
}

#[tokio::test]
async fn every_live_secret_signs_in_both_schemes_newest_first() {
    let now = Frozen.now();
    let (request, body) = request_to(|e| {
        e.secret = SECRET.into();
        e.signature = SignatureScheme::Both;
        e.previous_secrets = vec![
            PreviousSecret {
                secret: OLD.into(),
                expires_at: now.after(std::time::Duration::from_secs(1)),
            },
            PreviousSecret {
                secret: SECRET.into(),
                expires_at: now,
            },
        ];
    })
    .await;
    let (at, body) = (now.as_secs(), body.as_bytes());
    let mac = |secret| SignatureGenerator.generate(secret, body, at);
    let expected = format!("t={at},v1={},v1={}", mac(SECRET), mac(OLD));
    assert_eq!(
        header(&request, "x-webhook-signature"),
        Some(expected.as_str())
    );
    let id = header(&request, "webhook-id").unwrap();
    assert_eq!(Some(id), header(&request, "x-webhook-id"));
    assert_eq!(
        header(&request, "webhook-timestamp"),
        Some(at.to_string().as_str())
    );
    let sign = |secret| StandardKey::new(secret).unwrap().sign(id, at, body);
    let expected = format!("{} {}", sign(SECRET), sign(OLD));
    assert_eq!(
        header(&request, "webhook-signature"),
        Some(expected.as_str())
    );
}

#[tokio::test]
async fn a_changed_endpoint_is_sent_to_as_it_is_now() {
    let (first, second) = (Server::responding(OK).await, Server::responding(OK).await);
    let engine = engine();
    for server in [&first, &second] {
        assert!(
            crate::support::deliver(&engine, &server.url())
                .await
                .is_delivered()
        );
        engine.forget("endpoint_1");
    }
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_delivery_without_its_endpoint_is_an_error() {
    let mut delivery = crate::support::delivery("http://127.0.0.1/");
    delivery.endpoint = None;
    let error = engine().deliver(&delivery).await.unwrap_err();
    assert!(matches!(error, WebhookError::EndpointNotFound(_)));
    assert!(error.to_string().contains("endpoint_1"));
}

#[test]
fn an_endpoint_is_checked_without_a_runtime_and_names_its_rule() {
    let strict = DeliveryEngine::new(std::sync::Arc::new(Frozen)).unwrap();
    strict
        .check(&endpoint("https://hooks.example.com/in"))
        .unwrap();
    let error = strict
        .check(&endpoint("http://hooks.example.com/in?token=hunter2"))
        .unwrap_err();
    assert!(matches!(error, WebhookError::InvalidEndpoint(_)));
    assert!(error.to_string().contains("plain http"), "{error}");
    assert!(!error.to_string().contains("hunter2"));
    assert!(!format!("{strict:?}").contains("secret"));
}

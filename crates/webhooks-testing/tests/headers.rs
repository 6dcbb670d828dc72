//! What the transport keeps is what an endpoint gets.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{
    Attempt, DeliveryEngine, DeliveryResult, NetworkPolicy, Result, SignatureScheme, SystemClock,
    Transport, WebhookEndpoint, WebhookSystem, generate_secret,
};
use http::header::{CONTENT_LENGTH, HOST};
use webhooks_testing::ScriptedTransport;
use webhooks_tests::Receiver;

/// Writes down what it sends.
#[derive(Debug)]
struct Both(ScriptedTransport, DeliveryEngine);

#[async_trait]
impl Transport for Both {
    fn check(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        self.1.check(endpoint)
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult> {
        self.0.send(attempt).await?;
        self.1.send(attempt).await
    }

    fn forget(&self, endpoint_id: &str) {
        self.1.forget(endpoint_id);
    }
}

#[tokio::test]
async fn headers_and_body_are_those_of_the_engine() {
    let receiver = Receiver::responding(200).await;
    let engine = DeliveryEngine::builder(Arc::new(SystemClock))
        .network_policy(NetworkPolicy::permissive())
        .build()
        .unwrap();
    let transport = ScriptedTransport::new();
    let system = WebhookSystem::builder()
        .transport(Both(transport.clone(), engine))
        .build(MemoryStorage::new());
    let plain = WebhookEndpoint {
        id: "plain".into(),
        url: receiver.url(),
        secret: "webhook_secret".into(),
        events: vec!["*".into()],
        ..Default::default()
    };
    let full = WebhookEndpoint {
        id: "full".into(),
        secret: generate_secret().unwrap(),
        signature: SignatureScheme::Both,
        headers: [("X-Ours".to_owned(), "1".to_owned())].into(),
        content_type: Some("application/vnd.ours+json".into()),
        user_agent: Some("ours/1".into()),
        ..plain.clone()
    };
    system.register_endpoint(plain).await.unwrap();
    system.register_endpoint(full).await.unwrap();
    let newer = generate_secret().unwrap();
    let hour = Duration::from_secs(3_600);
    system.rotate_secret("full", newer, hour).await.unwrap();
    system.send_webhook("user.created", 1).await.unwrap();
    assert!(system.drain(Duration::from_secs(10)).await.unwrap());

    let (mut arrived, kept) = (receiver.received(), transport.requests());
    assert_eq!((arrived.len(), kept.len()), (2, 2));
    for request in kept {
        let id = request.delivery_id.to_string();
        let place = arrived
            .iter()
            .position(|r| r.header("x-webhook-delivery") == id);
        let mut came = arrived.remove(place.unwrap());
        came.headers.remove(HOST);
        came.headers.remove(CONTENT_LENGTH);
        assert_eq!(came.headers, request.headers);
        assert_eq!(came.body, request.body);
    }
}

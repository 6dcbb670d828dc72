//! Secrets that the system makes, over real sockets.

use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{
    NetworkPolicy, SignatureScheme, WebhookEndpoint, WebhookReceiver, WebhookSystem,
    generate_secret,
};
use serde_json::json;
use webhooks_tests::Receiver;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_generated_secret_signs_in_both_schemes() {
    let secret = generate_secret().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44);
    assert_ne!(secret, generate_secret().unwrap());

    let receiver = Receiver::answering(200).await;
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new());
    let endpoint = WebhookEndpoint {
        id: "a".into(),
        url: receiver.url(),
        secret: secret.clone(),
        events: vec!["*".into()],
        signature: SignatureScheme::Both,
        ..Default::default()
    };
    system.register_endpoint(endpoint).await.unwrap();
    system.send_webhook("user.created", json!(1)).await.unwrap();
    assert!(system.drain(SOON).await.unwrap());

    let mut request = receiver.received().remove(0);
    let verifier = WebhookReceiver::new(secret);
    verifier.receive(&request.headers, &request.body).unwrap();
    request.headers.remove("x-webhook-signature");
    verifier.receive(&request.headers, &request.body).unwrap();
}

//! Secrets and key pairs that the system makes, over real sockets.

use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{
    Ed25519Key, NetworkPolicy, SignatureScheme, Timestamp, WebhookEndpoint, WebhookError,
    WebhookReceiver, WebhookSystem, generate_secret,
};
use serde_json::json;
use webhooks_tests::Receiver;

const SOON: Duration = Duration::from_secs(10);

fn system() -> WebhookSystem {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new())
}

fn endpoint(receiver: &Receiver, secret: String, signature: SignatureScheme) -> WebhookEndpoint {
    WebhookEndpoint {
        id: "a".into(),
        url: receiver.url(),
        secret,
        events: vec!["*".into()],
        signature,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_generated_secret_signs_in_both_schemes() {
    let secret = generate_secret().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44);
    assert_ne!(secret, generate_secret().unwrap());

    let receiver = Receiver::responding(200).await;
    let system = system();
    let endpoint = endpoint(&receiver, secret.clone(), SignatureScheme::Both);
    system.register_endpoint(endpoint).await.unwrap();
    system.send_webhook("user.created", json!(1)).await.unwrap();
    assert!(system.drain(SOON).await.unwrap());

    let mut request = receiver.received().remove(0);
    let verifier = WebhookReceiver::new(secret);
    verifier.receive(&request.headers, &request.body).unwrap();
    request.headers.remove("x-webhook-signature");
    verifier.receive(&request.headers, &request.body).unwrap();
}

#[tokio::test]
async fn a_consumer_verifies_with_the_public_key_alone() {
    let key = Ed25519Key::generate().unwrap();
    let receiver = Receiver::responding(200).await;
    let system = system();
    let endpoint = endpoint(&receiver, key.secret(), SignatureScheme::Standard);
    system.register_endpoint(endpoint).await.unwrap();
    system.send_webhook("user.created", json!(1)).await.unwrap();
    assert!(system.drain(SOON).await.unwrap());

    let stored = system.get_endpoint("a").await.unwrap().unwrap();
    let public = stored.public_keys(Timestamp::EPOCH);
    assert_eq!(public, [key.public_key()]);
    let request = receiver.received().remove(0);
    assert!(request.header("webhook-signature").starts_with("v1a,"));
    let verifier = WebhookReceiver::new(public[0].to_string());
    verifier.receive(&request.headers, &request.body).unwrap();
    let other = Ed25519Key::generate().unwrap().public_key();
    let verifier = WebhookReceiver::new(other.to_string());
    assert!(verifier.receive(&request.headers, &request.body).is_err());
}

#[tokio::test]
async fn an_endpoint_goes_over_from_a_secret_to_a_key_pair_without_a_gap() {
    let (secret, key) = (generate_secret().unwrap(), Ed25519Key::generate().unwrap());
    let receiver = Receiver::responding(200).await;
    let system = system();
    let endpoint = endpoint(&receiver, secret.clone(), SignatureScheme::Standard);
    system.register_endpoint(endpoint).await.unwrap();
    let overlap = Duration::from_secs(60);
    let rotated = system.rotate_secret("a", key.secret(), overlap).await;
    rotated.unwrap();
    system.send_webhook("user.created", json!(1)).await.unwrap();
    assert!(system.drain(SOON).await.unwrap());

    let request = receiver.received().remove(0);
    for known in [secret, key.public_key().to_string()] {
        let verifier = WebhookReceiver::new(known);
        verifier.receive(&request.headers, &request.body).unwrap();
    }
}

#[tokio::test]
async fn a_private_key_is_refused_where_it_would_be_a_shared_secret() {
    let receiver = Receiver::responding(200).await;
    let key = Ed25519Key::generate().unwrap().secret();
    for (secret, signature) in [
        (key.clone(), SignatureScheme::Timestamped),
        (key.clone(), SignatureScheme::Both),
        ("whsk_AAAA".into(), SignatureScheme::Standard),
    ] {
        let endpoint = endpoint(&receiver, secret, signature);
        let error = system().register_endpoint(endpoint).await.unwrap_err();
        assert!(matches!(
            error,
            WebhookError::InvalidEndpoint(_) | WebhookError::InvalidConfig(_)
        ));
        assert!(!error.to_string().contains(&key));
    }
}

//! Deliveries through real egress proxies.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{
    CircuitState, DeliveryState, FailureKind, NetworkPolicy, ProxyConfig, Resolve, TlsOptions,
    WebhookEndpoint, WebhookSystem,
};
use serde_json::json;
use webhooks_tests::Receiver;
use xtask::{EgressProxy, TempFolder};

const USER: &str = "egress";
const PASSWORD: &str = "hunter2";
const DEAD: &str = "http://127.0.0.1:1/";

/// A resolver for which every name is the receiver's address, or that fails when it is asked.
#[derive(Clone, Copy, Debug)]
struct Names(bool);

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        match self.0 {
            true => Ok(vec![[127, 0, 0, 1].into()]),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn system(proxy: impl Into<ProxyConfig>, names: Names, tls: TlsOptions) -> WebhookSystem {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .proxy(proxy)
        .resolver(names)
        .tls(tls)
        .timeout_seconds(10)
        .auto_disable_after(Duration::from_millis(1))
        .build(MemoryStorage::new())
}

async fn send_to(system: &WebhookSystem, url: &str) -> String {
    let endpoint = WebhookEndpoint {
        id: "a".into(),
        url: url.into(),
        secret: "secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    };
    system.update_or_register(endpoint).await;
    let receipt = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    receipt.delivery_ids[0].clone()
}

trait Register {
    async fn update_or_register(&self, endpoint: WebhookEndpoint);
}

impl Register for WebhookSystem {
    async fn update_or_register(&self, endpoint: WebhookEndpoint) {
        if self.register_endpoint(endpoint.clone()).await.is_err() {
            self.update_endpoint(endpoint).await.unwrap();
        }
    }
}

/// Sends through the proxy to a receiver, by address and by name.
async fn delivers(proxy: impl Into<ProxyConfig>, names: Names, tls: TlsOptions, hosts: &[&str]) {
    let receiver = Receiver::responding(200).await;
    let system = system(proxy, names, tls);
    for (nth, host) in hosts.iter().enumerate() {
        let url = receiver.url().replace("127.0.0.1", host);
        let id = send_to(&system, &url).await;
        assert!(
            system.drain(Duration::from_secs(20)).await.unwrap(),
            "{url}"
        );
        let record = system.delivery(&id).await.unwrap();
        assert_eq!(record.state, DeliveryState::Delivered, "{url} {record:?}");
        assert_eq!(receiver.count(), nth + 1);
    }
}

/// What became of the first attempt.
async fn first_failure(system: &WebhookSystem, id: &str) -> Option<FailureKind> {
    for _ in 0..1_000 {
        let record = system.delivery(id).await.unwrap();
        if let Some(attempt) = record.attempts.first() {
            return attempt.failure;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

async fn is_not_tried(proxy: &str, tls: TlsOptions) {
    let receiver = Receiver::responding(200).await;
    let system = system(proxy, Names(true), tls);
    let id = send_to(&system, &receiver.url()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let record = system.delivery(&id).await.unwrap();
    assert!(
        !record.state.is_ended() && record.attempts.is_empty(),
        "{record:?}"
    );
    let metrics = system.endpoint_metrics("a").await.unwrap();
    assert_eq!(metrics.circuit.state, CircuitState::Closed);
    let endpoints = system.list_endpoints().await.unwrap();
    assert_eq!(endpoints[0].gate.failing_since, None);
    assert_eq!(endpoints[0].gate.disabled, None);
    assert_eq!(receiver.count(), 0);
    let error = system.verify_endpoint("a").await;
    assert!(!format!("{error:?} {system:?} {record:?}").contains(PASSWORD));
}

#[tokio::test]
async fn squid_tunnels_to_addresses_and_to_names() {
    let folder = TempFolder::new("squid").unwrap();
    let squid = EgressProxy::squid(folder.path()).unwrap();
    let url = format!("http://127.0.0.1:{}", squid.port());
    let plain = TlsOptions::default;
    delivers(
        &url,
        Names(true),
        plain(),
        &["127.0.0.1", "hooks.example.com"],
    )
    .await;
    let by_name = ProxyConfig::new(&url).resolves_names();
    delivers(
        by_name.clone(),
        Names(false),
        plain(),
        &["127.0.0.1", "localhost"],
    )
    .await;

    // What it refuses, and whom it does not reach, is a failed connection of the endpoint.
    for url in [DEAD, "http://127.0.0.1:9/", "http://nowhere.invalid/"] {
        let system = system(by_name.clone(), Names(false), plain());
        let id = send_to(&system, url).await;
        let failure = first_failure(&system, &id).await;
        assert_eq!(failure, Some(FailureKind::Connect), "{url}");
    }
}

#[tokio::test]
async fn tinyproxy_tunnels_for_who_has_the_password_alone_and_under_tls() {
    let folder = TempFolder::new("tinyproxy").unwrap();
    let tinyproxy = EgressProxy::tinyproxy(folder.path(), USER, PASSWORD).unwrap();
    let (port, plain) = (tinyproxy.port(), TlsOptions::default);
    let url = format!("http://{USER}:{PASSWORD}@127.0.0.1:{port}");
    delivers(
        &url,
        Names(true),
        plain(),
        &["127.0.0.1", "hooks.example.com"],
    )
    .await;
    let by_name = ProxyConfig::new(&url).resolves_names();
    delivers(by_name, Names(false), plain(), &["localhost"]).await;

    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = folder.path().join("stunnel.pem");
    std::fs::write(&pem, key.signing_key.serialize_pem() + &key.cert.pem()).unwrap();
    let stunnel = EgressProxy::stunnel(folder.path(), &pem, port).unwrap();
    let url = format!("https://{USER}:{PASSWORD}@localhost:{}", stunnel.port());
    let trusted = || plain().add_roots_pem(key.cert.pem().as_bytes()).unwrap();
    delivers(
        &url,
        Names(true),
        trusted(),
        &["127.0.0.1", "hooks.example.com"],
    )
    .await;

    // Nothing of this is a failure of the endpoint.
    is_not_tried(&url, plain()).await;
    is_not_tried(&format!("http://127.0.0.1:{port}"), plain()).await;
    is_not_tried(
        &format!("http://{USER}:{PASSWORD}2@127.0.0.1:{port}"),
        plain(),
    )
    .await;
    is_not_tried(
        &format!("socks5://{USER}:{PASSWORD}@127.0.0.1:{port}"),
        plain(),
    )
    .await;
    drop(stunnel);
    drop(tinyproxy);
    is_not_tried(
        &format!("http://{USER}:{PASSWORD}@127.0.0.1:{port}"),
        plain(),
    )
    .await;
}

#[tokio::test]
async fn microsocks_tunnels_for_who_has_the_password_alone() {
    let folder = TempFolder::new("microsocks").unwrap();
    let socks = EgressProxy::microsocks(folder.path(), USER, PASSWORD).unwrap();
    let (port, plain) = (socks.port(), TlsOptions::default);
    let login = format!("{USER}:{PASSWORD}@127.0.0.1:{port}");
    let url = format!("socks5://{login}");
    delivers(
        &url,
        Names(true),
        plain(),
        &["127.0.0.1", "hooks.example.com"],
    )
    .await;
    let url = format!("socks5h://{login}");
    delivers(&url, Names(false), plain(), &["127.0.0.1", "localhost"]).await;
    let system = system(&url, Names(false), plain());
    let id = send_to(&system, DEAD).await;
    assert_eq!(
        first_failure(&system, &id).await,
        Some(FailureKind::Connect)
    );

    is_not_tried(&format!("socks5://127.0.0.1:{port}"), plain()).await;
    is_not_tried(&format!("socks5://{USER}:other@127.0.0.1:{port}"), plain()).await;
    is_not_tried(&format!("http://{login}"), plain()).await;
    drop(socks);
    is_not_tried(&format!("socks5://{login}"), plain()).await;
}

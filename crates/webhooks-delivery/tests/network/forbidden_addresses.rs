//! What the guard refuses is never dialled: counted at the listeners.

use std::io;
use std::time::Duration;

use crate::support::{Scripted, Server, builder, deliver, failed};
use tokio::io::AsyncWriteExt;
use webhooks_core::FailureKind;
use webhooks_delivery::{DeliveryEngine, NetworkPolicy};

const OK_AND_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Only 127.0.0.2 is open.
fn engine(answers: &[&[&str]]) -> DeliveryEngine {
    let policy = NetworkPolicy::default()
        .allow_http()
        .allow_cidr("127.0.0.2/32")
        .unwrap();
    builder()
        .network_policy(policy)
        .resolver(Scripted::new(answers))
        .build()
        .unwrap()
}

async fn server(ip: &str) -> Server {
    Server::start(ip, |mut peer| async move {
        peer.request().await?;
        peer.stream.write_all(OK_AND_CLOSE).await?;
        peer.stream.shutdown().await
    })
    .await
}

#[tokio::test]
async fn a_literal_that_is_refused_is_not_dialled() {
    let forbidden = server("127.0.0.1").await;
    let port = forbidden.address.port();
    let engine = engine(&[&["127.0.0.1"]]);
    for host in ["127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]", "2130706433"] {
        let result = deliver(&engine, &format!("http://{host}:{port}/")).await;
        failed(&result, FailureKind::UrlRefused);
    }
    assert_eq!(forbidden.connections(), 0);
}

#[tokio::test]
async fn a_name_of_refused_addresses_is_not_dialled_and_tried_again_later() {
    let forbidden = server("127.0.0.1").await;
    let engine = engine(&[&["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1"]]);
    let url = format!("http://hooks.example.com:{}/", forbidden.address.port());
    let result = deliver(&engine, &url).await;
    failed(&result, FailureKind::AddressRefused);
    assert!(!FailureKind::AddressRefused.is_permanent());
    assert_eq!(forbidden.connections(), 0);
}

#[tokio::test]
async fn of_a_mixed_answer_only_the_open_address_is_dialled() {
    let open = server("127.0.0.2").await;
    let port = open.address.port();
    let forbidden = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
    let engine = engine(&[&["127.0.0.1", "127.0.0.2"]]);
    let result = deliver(&engine, &format!("http://hooks.example.com:{port}/")).await;
    assert!(result.is_delivered(), "{result:?}");
    nothing_dialled(forbidden).await;
}

#[tokio::test]
async fn an_answer_that_changes_between_lookups_is_judged_again() {
    let open = server("127.0.0.2").await;
    let port = open.address.port();
    let forbidden = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
    let engine = engine(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let url = format!("http://hooks.example.com:{port}/");
    assert!(deliver(&engine, &url).await.is_delivered());
    failed(&deliver(&engine, &url).await, FailureKind::AddressRefused);
    assert_eq!(open.connections(), 1);
    nothing_dialled(forbidden).await;
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let forbidden = server("127.0.0.1").await;
    for target in [
        forbidden.url(),
        "/relative".into(),
        "file:///etc/passwd".into(),
    ] {
        let response = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        );
        let server = Server::responding(response).await;
        let result = deliver(&crate::support::engine(), &server.url()).await;
        failed(&result, FailureKind::Redirect);
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(forbidden.connections(), 0);
}

/// The kernel completes connections before they are accepted, so that one would be there now.
async fn nothing_dialled(listener: io::Result<tokio::net::TcpListener>) {
    let listener = listener.unwrap();
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept());
    assert!(accepted.await.is_err(), "a refused address was dialled");
}

//! Requests go through the operator's proxy, to judged addresses.

use tokio::io::AsyncWriteExt;
use webhooks_core::FailureKind;
use webhooks_delivery::NetworkPolicy;

use crate::support::{Scripted, Server, builder, deliver, failed};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A proxy that answers `CONNECT` with `answer`, and then plays the target itself.
async fn proxy(answer: &'static [u8]) -> Server {
    Server::start("127.0.0.1", move |mut peer| async move {
        peer.request().await?;
        peer.stream.write_all(answer).await?;
        peer.answer_all(OK).await
    })
    .await
}

#[tokio::test]
async fn the_proxy_is_asked_for_the_judged_address_also_for_http() {
    let proxy = proxy(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    let engine = builder()
        .network_policy(NetworkPolicy::default().allow_http())
        .resolver(Scripted::new(&[&["10.0.0.1", "93.184.216.34"]]))
        .proxy(&format!("http://{}", proxy.address))
        .unwrap()
        .build()
        .unwrap();
    for _ in 0..2 {
        let result = deliver(&engine, "http://hooks.example.com/in").await;
        assert!(result.is_delivered(), "{result:?}");
    }
    let requests = proxy.requests();
    assert!(requests[0].starts_with("CONNECT 93.184.216.34:80 HTTP/1.1\r\n"));
    assert!(requests[1].starts_with("POST /in HTTP/1.1\r\n"));
    assert_eq!((requests.len(), proxy.connections()), (3, 1));
}

#[tokio::test]
async fn a_refused_address_is_not_asked_for_and_a_refusing_proxy_is_a_failed_connection() {
    let proxy = proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let through = |ip| {
        builder()
            .network_policy(NetworkPolicy::default().allow_http())
            .resolver(Scripted::new(&[&[ip]]))
            .proxy(&format!("http://{}", proxy.address))
            .unwrap()
            .build()
            .unwrap()
    };
    let url = "http://hooks.example.com/in";
    failed(
        &deliver(&through("10.0.0.1"), url).await,
        FailureKind::AddressRefused,
    );
    assert_eq!(proxy.connections(), 0);
    failed(
        &deliver(&through("93.184.216.34"), url).await,
        FailureKind::Connect,
    );
}

#[test]
fn only_a_plain_http_proxy_without_credentials_is_taken() {
    for bad in [
        "https://p:1",
        "http://u:hunter2@p:1",
        "http://p/x",
        "p:1",
        "",
    ] {
        let error = builder().proxy(bad).unwrap_err().to_string();
        assert!(!error.contains("hunter2"));
    }
    assert!(builder().proxy("http://proxy.internal:3128").is_ok());
}
